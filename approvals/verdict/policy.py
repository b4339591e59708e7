"""Which rule decides a proposal: the last match per path, the strictest over all paths.

No rule that matches means the strictest: two reviewers, or as many as the highest quorum of any rule. So do the
protected kinds, whatever the rules say of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from schemas.approvals import PROTECTED, Kind
from schemas.policy import Policy, Risk, Rule

_RISKS: tuple[Risk, ...] = ("low", "medium", "high")

NO_GROUP = "no group in common"
"""A group that is not a token, so nobody is in it: the rules of several files name no group that may vote on all."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the rules look at. `lines` is how many changed at each path (`agents/<agent>/…`, or a file of the fleet),
    those of the day's other changes included.
    """

    kind: Kind
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must be voted. `groups` empty means any reviewer; `rule` says in words where this comes from."""

    quorum: int
    groups: frozenset[str]
    risk: Risk
    rule: str


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that decides one path. `number` is its place in the policy from 1 on; 0: none, so the strictest."""

    path: str
    number: int
    rule: Rule


def requirement(policy: Policy, change: Change) -> Requirement:
    """The strictest of the rules that match the changed paths."""
    found = matches(policy, change)
    decisive = max(found, key=lambda match: _strictness(match.rule))
    return Requirement(
        quorum=decisive.rule.quorum,
        groups=_common_groups([match.rule for match in found]),
        risk=max((match.rule.risk for match in found), key=_RISKS.index),
        rule=f"policy {policy.version}: {in_words(change.kind, decisive)}",
    )


def matches(policy: Policy, change: Change) -> list[Match]:
    """The rule for each changed path; for a protected kind the strictest as well."""
    found = [_match(policy, change.kind, path, lines) for path, lines in change.lines.items()]
    if change.kind in PROTECTED or not found:
        found.append(Match("", 0, _strictest(policy)))
    return found


def in_words(kind: Kind, match: Match) -> str:
    """Why this rule decides."""
    if match.number:
        return f"rule {match.number}, {', '.join(match.rule.paths)}"
    return (
        f"{kind} is protected, so the strictest holds"
        if kind in PROTECTED
        else "no rule matches, so the strictest holds"
    )


def _strictness(rule: Rule) -> tuple[int, int, int]:
    return rule.quorum, _RISKS.index(rule.risk), len(rule.groups)


def _common_groups(rules: list[Rule]) -> frozenset[str]:
    named = [frozenset(rule.groups) for rule in rules if rule.groups]
    return (frozenset.intersection(*named) or frozenset({NO_GROUP})) if named else frozenset()


def _match(policy: Policy, kind: Kind, path: str, lines: int) -> Match:
    numbered = [
        Match(path, number, rule)
        for number, rule in enumerate(policy.rules, start=1)
        if (kind in rule.kinds or (not rule.kinds and kind != "call"))  # who wrote it thought of changes
        and (rule.max_lines is None or lines <= rule.max_lines)
        and any(path_matches(pattern, path) for pattern in rule.paths)
    ]
    return numbered[-1] if numbered else Match(path, 0, _strictest(policy))


def _strictest(policy: Policy) -> Rule:
    quorum = max([2, *(rule.quorum for rule in policy.rules)])
    return Rule.model_construct(paths=(), kinds=(), groups=(), quorum=quorum, risk="high")


def path_matches(pattern: str, path: str) -> bool:
    """Whether a rule's pattern is for this path."""
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stay within one folder; `**/` is any folders, `**` at the end is everything below."""
    wild = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(wild.get(piece, re.escape(piece)) for piece in pieces))
