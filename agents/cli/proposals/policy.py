"""What `agentbus policy check` and `agentbus policy explain` print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from approvals.change.kinds import FLEET_FILE, POLICY_FILE
from approvals.git import AGENTS, Git
from approvals.repository import rules_in_force
from approvals.verdict.fold import Rules
from approvals.verdict.panel import panel_of
from approvals.verdict.policy import Change, Match, in_words, matches, requirement
from approvals.verdict.policy_check import Finding, findings_of
from bus.surroundings import Home
from schemas.approvals import PROTECTED, Kind
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.policy import Policy

_GLASS = frozenset({"halt", "revert"})
_CALL = "call:"
"""How the path of a tool's call begins, in the agent's folder."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The change that is asked about."""

    agent: str
    path: str
    kind: str
    lines: int


def check(root: Path, file: Path, fleet: Path | None, *, as_json: bool) -> None:
    """Print what is wrong; exit 1 where a change could never be approved."""
    policy = _read(file, Policy)
    people = _read(fleet, Fleet) if fleet else _in_force(root).fleet
    found = findings_of(policy, people)
    if as_json:
        print(json.dumps([finding._asdict() for finding in found]))
    else:
        for finding in found:
            print(_line(finding))
        print(f"{file}: policy {policy.version}, {len(policy.rules)} rules, {'sound' if not found else _counts(found)}")
    raise SystemExit(1 if any(finding.severity == "error" for finding in found) else 0)


def _line(finding: Finding) -> str:
    where = f"rule {finding.rule}" if finding.rule else "policy"
    return f"{finding.severity:<8} {where}: {finding.problem}; {finding.fix}"


def _counts(found: list[Finding]) -> str:
    errors = sum(finding.severity == "error" for finding in found)
    return f"{errors} errors, {len(found) - errors} warnings"


def explain(root: Path, asked: Asked, file: Path | None, *, as_json: bool) -> None:
    """Print which rule decides, for one kind of change or for all."""
    rules = _in_force(root)
    policy = _read(file, Policy) if file else rules.policy
    full = _full_path(rules.fleet, asked)
    rows = [_row(policy, rules.fleet, Change(kind, {full: asked.lines}), asked.agent) for kind in _kinds(asked)]
    if as_json:
        print(json.dumps(rows))
        return
    print(f"{full}, {asked.lines} changed line{'' if asked.lines == 1 else 's'}, under policy {policy.version}")
    print(f"{'KIND':<11}{'QUORUM':<8}{'RISK':<8}{'MAY VOTE':<26}BECAUSE")
    for row in rows:
        voters = ", ".join(row["may_vote"]) or "nobody"
        print(f"{row['kind']:<11}{row['quorum']:<8}{row['risk']:<8}{voters:<26.25}{row['because']}")


def _row(policy: Policy, fleet: Fleet, change: Change, agent: str) -> dict[str, Any]:
    needed = requirement(policy, change)
    decisive: Match = max(matches(policy, change), key=lambda match: (match.rule.quorum, match.number == 0))
    panel = panel_of(fleet, needed, agent)
    return {
        "kind": change.kind,
        "quorum": needed.quorum,
        "risk": needed.risk,
        "groups": sorted(needed.groups),
        "may_vote": sorted(panel.people),
        "can_be_approved": needed.quorum <= len(set(panel.people.values())),
        "rule": decisive.number,
        "because": in_words(change.kind, decisive),
    }


def _kinds(asked: Asked) -> list[Kind]:
    of_fleet = not asked.agent
    is_call = asked.path.startswith(_CALL)
    possible: list[Kind] = [
        k for k in get_args(Kind) if (k in PROTECTED) == of_fleet and k not in _GLASS and (k == "call") == is_call
    ]
    if not asked.kind:
        return possible
    found = [kind for kind in possible if kind == asked.kind]
    if not found:
        raise InvalidDocument(f"kind {asked.kind!r} is none of {', '.join(possible)}")
    return found


def _full_path(fleet: Fleet, asked: Asked) -> str:
    if not asked.agent:
        if asked.path not in {FLEET_FILE, POLICY_FILE}:
            raise InvalidDocument(f"name an agent with --agent, or --path {FLEET_FILE} or {POLICY_FILE}")
        return asked.path
    if asked.agent not in fleet.agents:
        raise InvalidDocument(f"there is no agent {asked.agent!r}; there are: {', '.join(fleet.agents)}")
    return f"{AGENTS}/{asked.agent}/{asked.path or 'agent.yaml'}"


def _in_force(root: Path) -> Rules:
    home = Home(root.resolve())
    if not (home.repository / "HEAD").exists():
        raise InvalidDocument(f"there is no fleet in {home.root}; run: agentbus up")
    return rules_in_force(Git(home.repository))


def _read[T: (Policy, Fleet)](path: Path, kind: type[T]) -> T:
    try:
        return parse_yaml(path.read_text(), kind, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDocument(f"cannot read {path}: {error}") from None
