"""Which rule decides a proposal: the last match per path, the strictest over all paths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from schemas.approvals import Kind
from schemas.policy import Policy, Risk, Rule

_RISKS: tuple[Risk, ...] = ("low", "medium", "high")

NOBODY = "no group in common"
"""A group that is not a token, so nobody is in it: the rules of several files name no group that may vote on all."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must be voted. `groups` empty means any reviewer; `rule` says in words where this comes from."""

    quorum: int
    groups: frozenset[str]
    risk: Risk
    rule: str


def requirement(policy: Policy, agent: str, kind: Kind, paths: Iterable[str]) -> Requirement:
    """The strictest of the rules that match the changed paths of this agent's folder."""
    found = [_rule_of(policy, kind, f"agents/{agent}/{path}") for path in paths] or [_strictest(policy)]
    strictest = max(found, key=lambda rule: (rule.quorum, _RISKS.index(rule.risk), len(rule.groups)))
    return Requirement(
        quorum=strictest.quorum,
        groups=_common_groups(found),
        risk=max((rule.risk for rule in found), key=_RISKS.index),
        rule=f"policy {policy.version}: {', '.join(strictest.paths) or 'no rule matches, so the strictest holds'}",
    )


def _common_groups(rules: list[Rule]) -> frozenset[str]:
    named = [frozenset(rule.groups) for rule in rules if rule.groups]
    return (frozenset.intersection(*named) or frozenset({NOBODY})) if named else frozenset()


def _rule_of(policy: Policy, kind: Kind, path: str) -> Rule:
    matching = [
        rule
        for rule in policy.rules
        if (not rule.kinds or kind in rule.kinds) and any(_matches(g, path) for g in rule.paths)
    ]
    return matching[-1] if matching else _strictest(policy)


def _strictest(policy: Policy) -> Rule:
    quorum = max([2, *(rule.quorum for rule in policy.rules)])
    return Rule.model_construct(paths=(), kinds=(), groups=(), quorum=quorum, risk="high")


def _matches(pattern: str, path: str) -> bool:
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stay within one folder; `**/` is any folders, `**` at the end is everything below."""
    wild = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(wild.get(piece, re.escape(piece)) for piece in pieces))
