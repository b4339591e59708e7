"""How each process is, as those say who start it: the local supervisor, or systemd."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from agents.observing.place import Place, Runner
from agents.observing.processes import Process, processes_of
from approvals.applying.control import RestartFailed, ask_supervisor
from schemas.errors import AgentbusError

_UNIT = ("ActiveState", "SubState", "MainPID", "NRestarts", "StatusText", "LoadState")


class NotRunning(AgentbusError):
    """Nobody runs this fleet: start it with `agentbus up`."""


@dataclass(frozen=True, slots=True)
class State:
    """One process. `is_up`: it has said that it is ready, and has not ended."""

    process: Process
    state: str
    is_up: bool
    pid: int = 0
    restarts: int | None = None
    status: str = ""
    """Its own words."""


async def states_of(place: Place) -> Sequence[State]:
    """Every process of the fleet in force, those that are not there included.

    Raises:
        NotRunning: there is no supervisor, and no unit either.
    """
    if place.runner is Runner.SYSTEMD:
        return await asyncio.to_thread(_by_units, place)
    return await _by_supervisor(place)


async def _by_supervisor(place: Place) -> list[State]:
    try:
        answer = await ask_supervisor(place.home.socket, {"command": "status"}, timeout_s=10)
    except RestartFailed:
        raise NotRunning(f"no fleet runs in {place.home.root}") from None
    rows = {str(row["name"]): row for row in answer["processes"]}
    found = []
    for process in processes_of(place.fleet):
        row = rows.get(process.name)
        if row is None:
            found.append(State(process, "missing", is_up=False))
            continue
        restarts = row["restarts"] if isinstance(row["restarts"], int) else None
        state, pid = str(row["state"]), int(row["pid"] or 0)
        found.append(State(process, state, state == "ready", pid, restarts, str(row["status"])))
    return found


def _by_units(place: Place) -> list[State]:
    return [_of_unit(process) for process in processes_of(place.fleet)]


def _of_unit(process: Process) -> State:
    said = show(process.unit, *_UNIT)
    state = said["ActiveState"] if said["LoadState"] == "loaded" else said["LoadState"] or "unknown"
    is_up = state == "active"
    named = "ready" if is_up else f"{state} ({said['SubState']})"
    return State(process, named, is_up, int(said["MainPID"] or 0), int(said["NRestarts"] or 0), said["StatusText"])


def show(unit: str, *properties: str) -> dict[str, str]:
    """What systemd says of a unit; empty where it knows nothing."""
    said = subprocess.run(
        ["systemctl", "show", unit, *(f"--property={name}" for name in properties)],
        capture_output=True, text=True, timeout=10, check=False,
    ).stdout  # fmt: skip
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return {name: found.get(name, "") for name in properties}
