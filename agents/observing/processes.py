"""Every process that belongs to a fleet, by the names that the supervisor, systemd and people use."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.applying.control import process_of
from schemas import names
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet

_SINGLE = (names.APPROVALS, names.APPLIER, names.SEALER)


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `agent` is empty for those that serve the fleet itself."""

    name: str
    unit: str
    agent: str = ""


def processes_of(fleet: Fleet) -> list[Process]:
    """All of them, but those that run only for a moment."""
    instances = [(agent, slot) for agent, role in fleet.agents.items() for slot in range(role.instances)]
    return [
        Process(names.NATS_SERVER, "nats-server.service"),
        *(Process(name, f"agentbus-{name}.service") for name in _SINGLE),
        *(Process(process_of(agent, slot), _agents_unit(agent, slot), agent) for agent, slot in instances),
        *(Process(name, f"agentbus-witness@{name}.service") for name in fleet.witnesses),
    ]


def _agents_unit(agent: str, slot: int) -> str:
    return f"agent{f'-{slot}' if slot else ''}@{agent}.service"


def named(fleet: Fleet, name: str) -> list[Process]:
    """The processes that a person means by `name`: one of them, or every instance of an agent.

    Raises:
        InvalidDocument: there is none of that name; the message lists those that there are.
    """
    known = processes_of(fleet)
    found = [
        process for process in known if name in {process.name, process.agent, process.unit.removesuffix(".service")}
    ]
    if not found:
        raise InvalidDocument(f"there is no process {name}; there are: {', '.join(process.name for process in known)}")
    return found
