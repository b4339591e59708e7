"""Ports that the agents of a fleet want on one machine: each is one process's alone. Pure, but for reading files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.runtime.loading.agent_folder import AgentFolder, read_folder
from schemas.agent.http import Http
from schemas.errors import InvalidDocument, Problem
from schemas.fleet import Fleet

_KEYS = ("health_port", "metrics_port")


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants a port. `key` is that of the agent's file; empty for the server."""

    holder: str
    key: str = ""
    slot: int = 0

    def __str__(self) -> str:
        of = f", instance {self.slot}" if self.slot else ""
        return f"http.{self.key} of {self.holder}{of}" if self.key else self.holder


@dataclass(frozen=True, slots=True)
class Clash:
    """Two that want one port; `second` is an agent's."""

    port: int
    first: Claim
    second: Claim

    def __str__(self) -> str:
        return (
            f"port {self.port} is wanted twice: {self.first} and {self.second}; give one of them another, with room for "
            "its instances (on another machine AGENTBUS_HEALTH_PORT and AGENTBUS_METRICS_PORT go before the file)"
        )


def clashes(fleet: Fleet, wanted: Mapping[str, Http]) -> Iterator[Clash]:
    """Each port that two processes of the fleet want; of one process both may be the same."""
    taken: dict[int, Claim] = {}
    for listen in fleet.nats.cluster or (fleet.nats,):
        taken |= dict.fromkeys((listen.port, getattr(listen, "route_port", listen.port)), Claim("the server"))
    for agent in wanted:
        for slot in range(fleet.agents[agent].instances if agent in fleet.agents else 0):
            for key, port in zip(_KEYS, wanted[agent].of_slot(slot), strict=True):
                if port is None:
                    continue
                claim = Claim(agent, key, slot)
                first = taken.setdefault(port, claim)
                if (first.holder, first.slot) != (agent, slot):
                    yield Clash(port, first, claim)


def require_own_ports(fleet: Fleet, folders: Mapping[str, Path], environment: Mapping[str, str]) -> None:
    """Each port of the agents in these folders is wanted once.

    Raises:
        InvalidDocument: one is not, and the message names both who want it; or a file cannot be read.
    """
    found = {agent: read_folder(folder, environment) for agent, folder in folders.items()}
    if problems := list(problems_of(fleet, found)):
        raise InvalidDocument.because(problems)


def problems_of(fleet: Fleet, found: Mapping[str, AgentFolder]) -> Iterator[Problem]:
    """The clashes among them, at the place in the file of the second one."""
    for clash in clashes(fleet, {agent: folder.file.http for agent, folder in found.items()}):
        folder = found[clash.second.holder]
        place = ("http", clash.second.key)
        yield Problem(str(folder.path), folder.read.written.line_of(place), ".".join(place), str(clash))
