"""What somebody can be in a fleet, and where the fleet file says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bus.provision.permissions import users_of
from schemas.documents import parse_value
from schemas.errors import InvalidDocument
from schemas.fleet import AgentRole, Fleet, Reviewer

AGENT, REVIEWER, OPERATOR, AUDITOR, WITNESS = "agent", "reviewer", "operator", "auditor", "witness"
SECTIONS: Final[Mapping[str, str]] = {
    AGENT: "agents",
    REVIEWER: "reviewers",
    OPERATOR: "operators",
    AUDITOR: "auditors",
    WITNESS: "witnesses",
}
"""Role to the section of the fleet file that lists those who have it."""
SYSTEM: Final = "system"
PEOPLE: Final = frozenset({REVIEWER, OPERATOR, AUDITOR})
"""Who gets a context for the plain `nats` command."""
_MAY: Final[Mapping[str, str]] = {
    REVIEWER: "reads proposals and votes on them, in groups {groups}",
    OPERATOR: "asks every agent, leaves tasks, proposes, breaks the glass",
    AUDITOR: "reads the audit trail, and nothing else",
    WITNESS: "cosigns checkpoints of the trail, and reads nothing",
    SYSTEM: "a process of the product itself",
}


def members_of(fleet: Fleet) -> dict[str, str]:
    """Name to role, in the order of the fleet file; the product's own processes last."""
    found = {name: role for role, section in SECTIONS.items() for name in getattr(fleet, section)}
    return found | {user.principal: SYSTEM for user in users_of(fleet) if user.principal not in found}


def role_of(fleet: Fleet, name: str) -> str:
    """The role of a member.

    Raises:
        InvalidDocument: there is nobody of that name.
    """
    found = members_of(fleet)
    if name not in found:
        raise InvalidDocument(f"{name} is not in fleet {fleet.name}; there are: {', '.join(sorted(found))}")
    return found[name]


def may(fleet: Fleet, name: str) -> str:
    """What a member may do, in one line."""
    role = role_of(fleet, name)
    if role == AGENT:
        return _agent_may(fleet.agents[name])
    groups = ", ".join(fleet.reviewers[name].groups) if role == REVIEWER else ""
    return _MAY[role].format(groups=groups)


def _agent_may(role: AgentRole) -> str:
    said = ["answers requests and tasks"]
    said += [f"asks {', '.join(role.asks)}"] if role.asks else []
    said += ["reads every agent's card"] if role.reads_cards else []
    said += ["proposes changes to itself"] if role.may_propose else []
    said += [f"{role.instances} instances"] if role.instances > 1 else []
    return ", ".join(said)


def with_member(fleet: Fleet, name: str, role: str, rights: Mapping[str, Any]) -> Fleet:
    """The fleet with one member more.

    Raises:
        InvalidDocument: the name is taken, reserved, or no name; or the rights are not such.
    """
    known = members_of(fleet).get(name, SYSTEM)
    if known != SYSTEM:
        raise InvalidDocument(f"{name} is in fleet {fleet.name} already: {known}; each name may be used once")
    section = SECTIONS[role]
    present = getattr(fleet, section)
    more = [*present, name] if isinstance(present, tuple) else {**_plain(present), name: dict(rights)}
    return _checked(fleet, {section: more})


def without_member(fleet: Fleet, name: str) -> Fleet:
    """The fleet without a member; nobody asks it any more.

    Raises:
        InvalidDocument: the fleet cannot be without it.
    """
    section = SECTIONS[role_of(fleet, name)]
    present = getattr(fleet, section)
    if isinstance(present, tuple):
        return _checked(fleet, {section: [one for one in present if one != name]})
    rest = {other: entry for other, entry in _plain(present).items() if other != name}
    for entry in rest.values():
        if name in entry.get("asks", ()):
            entry["asks"] = [asked for asked in entry["asks"] if asked != name]
    return _checked(fleet, {section: rest})


def _plain(entries: Mapping[str, AgentRole | Reviewer]) -> dict[str, dict[str, Any]]:
    return {name: entry.model_dump(exclude_unset=True) for name, entry in entries.items()}


def _checked(fleet: Fleet, changes: Mapping[str, Any]) -> Fleet:
    return parse_value({**fleet.model_dump(exclude_unset=True), **changes}, Fleet, "fleet.yaml")
