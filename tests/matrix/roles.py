"""Who is in the matrix: every key of a fleet with its roles, and what the placeholders of a rule mean for it.

Nothing here comes from `bus.provision`: a rule that was wrong there would be wrong here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN, KEYLESS = "unknown", "keyless"
AGENT, ASKER, CARDS, OWN, PROPOSER = "agent", "asker", "cards", "own", "proposer"
OPERATOR, OPERATOR_OWN, REVIEWER, AUDITOR = "operator", "operator's own", "reviewer", "auditor"
APPROVALS, APPLIER, CANARY, LOOKER, PROVISION = "approvals", "applier", "canary", "looker", "provision"
SEALER, SEALER_OWN, WITNESS = "sealer", "sealer's own", "witness"

AGENTS: Mapping[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "greeter": ((), frozenset({PROPOSER})),
    "textstats": ((), frozenset()),
    "concierge": (("greeter", "textstats"), frozenset({ASKER})),
    "directory": ((), frozenset({CARDS})),
}
"""Each agent of the fleet that is tried: whom it asks, and what else it may."""
_PEOPLE: Mapping[str, tuple[str, ...]] = {
    OPERATOR: ("ops", "night"),
    REVIEWER: ("reviewer", "second"),
    AUDITOR: ("auditor", "outside"),
    WITNESS: ("witness-a", "witness-b"),
}
_SERVICES: tuple[tuple[str, str, str, str], ...] = (
    ("approvals", "own.nk", APPROVALS, "applier"),
    ("applier", "own.nk", APPLIER, "approvals"),
    ("applier", "bus.nk", CANARY, "approvals"),
    ("applier", "trail.nk", LOOKER, "sealer"),
    ("provision", "own.nk", PROVISION, "applier"),
    ("sealer", "own.nk", SEALER_OWN, "approvals"),
    ("sealer", "trail.nk", SEALER, "applier"),
)
"""Principal, key file, role, and whom it would like to be."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the fleet, or none (`file` is empty), with what it stands for."""

    principal: str
    file: str
    roles: frozenset[str]
    words: Mapping[str, str] = field(hash=False)
    """What `{me}`, `{other}` … of a rule's subject are for it; a rule with a word that is not here is not about it."""

    @property
    def name(self) -> str:
        """How it is called in a verdict."""
        return f"{self.principal}.{self.file.removesuffix('.nk')}" if self.file else self.principal


def change(fleet: dict[str, Any]) -> None:
    """Make of the example's fleet file one with two of each kind of person."""
    fleet["operators"], fleet["auditors"] = list(_PEOPLE[OPERATOR]), list(_PEOPLE[AUDITOR])
    fleet["reviewers"] = {name: {"groups": ["staff"]} for name in _PEOPLE[REVIEWER]}


def keys() -> tuple[Key, ...]:
    """Every key of that fleet, one that it does not know, and nobody's."""
    people = [
        Key(name, file, frozenset({role}), _words(name, _PEOPLE[kind]))
        for kind, file, role in (
            (OPERATOR, "bus.nk", OPERATOR),
            (OPERATOR, "own.nk", OPERATOR_OWN),
            (REVIEWER, "own.nk", REVIEWER),
            (AUDITOR, "own.nk", AUDITOR),
            (WITNESS, "own.nk", WITNESS),
        )
        for name in _PEOPLE[kind]
    ]
    services = [Key(name, file, frozenset({role}), _words(name, (other,))) for name, file, role, other in _SERVICES]
    strangers = [Key(name, "", frozenset({name}), _words("greeter", tuple(AGENTS))) for name in (UNKNOWN, KEYLESS)]
    return (*(key for agent in AGENTS for key in _agent(agent)), *people, *services, *strangers)


def _agent(agent: str) -> tuple[Key, Key]:
    asks, more = AGENTS[agent]
    unasked = [name for name in AGENTS if name not in {*asks, agent}]
    words = {**_words(agent, tuple(AGENTS)), "mine": agent, "unasked": unasked[0]}
    words.pop("asked")
    if asks:
        words["asked"] = asks[0]
    return (
        Key(agent, "bus.nk", (more - {PROPOSER}) | {AGENT}, words),
        Key(agent, "own.nk", (more & {PROPOSER}) | {OWN}, words),
    )


def _words(me: str, kind: tuple[str, ...]) -> dict[str, str]:
    def not_me(names: tuple[str, ...]) -> str:
        return next(name for name in names if name != me)

    return {
        "me": me,
        "other": not_me(kind),
        "asked": not_me(tuple(AGENTS)),
        "agent": not_me(tuple(AGENTS)),
        **{kind: not_me(names) for kind, names in _PEOPLE.items()},
    }
