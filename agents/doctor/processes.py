"""The processes: do all of them run, and are they ready?"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from agents.doctor.finding import Finding, doubtful, fine, wrong
from agents.doctor.place import Place, Runner
from approvals.applying.control import RestartFailed, ask_supervisor, process_of
from schemas import names
from schemas.fleet import Fleet

_MANY_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the fleet, as the supervisor and as systemd call it."""

    name: str
    unit: str


def processes_of(fleet: Fleet) -> list[Process]:
    """Every process that belongs to a fleet, but those that run only for a moment."""
    single = (names.APPROVALS, names.APPLIER, names.SEALER)
    instances = [(agent, slot) for agent, role in fleet.agents.items() for slot in range(role.instances)]
    return [
        Process(names.NATS_SERVER, "nats-server.service"),
        *(Process(name, f"agentbus-{name}.service") for name in single),
        *(Process(process_of(agent, slot), _agents_unit(agent, slot)) for agent, slot in instances),
        *(Process(name, f"agentbus-witness@{name}.service") for name in fleet.witnesses),
    ]


def _agents_unit(agent: str, slot: int) -> str:
    return f"agent{f'-{slot}' if slot else ''}@{agent}.service"


async def running(place: Place) -> Sequence[Finding]:
    """Each process runs, and was not started again and again."""
    if place.runner is Runner.SYSTEMD:
        return await asyncio.to_thread(_of_units, place)
    try:
        answer = await ask_supervisor(place.home.socket, {"command": "status"}, timeout_s=5)
    except RestartFailed:
        return [wrong("no fleet runs here", f"agentbus up --home {place.home.root} --detach")]
    states = {str(row["name"]): row for row in answer["processes"]}
    found: list[Finding] = []
    for process in processes_of(place.fleet):
        row = states.get(process.name, {"state": "missing", "restarts": 0, "status": ""})
        found += _told(
            place,
            process,
            str(row["state"]) == "ready",
            f"{row['state']} {row['status']}".strip(),
            row["restarts"] or 0,
        )
    return found or [fine(f"all {len(states)} processes run")]


def _of_units(place: Place) -> list[Finding]:
    found: list[Finding] = []
    wanted = processes_of(place.fleet)
    for process in wanted:
        state = show(process.unit, "ActiveState", "SubState", "NRestarts", "StatusText")
        says = f"{state['ActiveState']} ({state['SubState']}) {state['StatusText']}".strip()
        found += _told(place, process, state["ActiveState"] == "active", says, int(state["NRestarts"] or 0))
    return found or [fine(f"all {len(wanted)} units are active")]


def _told(place: Place, process: Process, is_up: bool, says: str, restarts: int) -> list[Finding]:  # noqa: FBT001
    if not is_up:
        return [wrong(f"{process.name} is {says}", f"{place.start(process.name, process.unit)}; its log says why")]
    if restarts >= _MANY_RESTARTS:
        return [doubtful(f"{process.name} was started again {restarts} times", "its log says why")]
    return []


def show(unit: str, *properties: str) -> dict[str, str]:
    """What systemd says of a unit; empty where it knows nothing."""
    said = subprocess.run(
        ["systemctl", "show", unit, *(f"--property={name}" for name in properties)],
        capture_output=True, text=True, timeout=10, check=False,
    ).stdout  # fmt: skip
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return {name: found.get(name, "") for name in properties}
