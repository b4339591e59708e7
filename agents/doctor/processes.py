"""The processes: do all of them run, and are they ready?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agents.doctor.finding import Finding, doubtful, fine, wrong
from agents.observing import NotRunning, Place, Process, State, processes_of, states_of
from bus.health.asking import ask, doors_of
from schemas.errors import Unavailable

_MANY_RESTARTS = 3


async def running(place: Place) -> Sequence[Finding]:
    """Each process runs, and was not started again and again."""
    try:
        states = await states_of(place)
    except NotRunning:
        return [wrong("no fleet runs here", f"agentbus up --home {place.home.root} --detach")]
    found = [finding for state in states for finding in _told(place, state)]
    return found or [fine(f"all {len(states)} processes run")]


async def ready(place: Place) -> Sequence[Finding]:
    """Each process that runs says of itself that it is ready, and what of it is not well."""
    asked = [process for process in processes_of(place.fleet) if doors_of(place.home, process.name)]
    found = [finding for process in asked for finding in await asyncio.to_thread(_says, place, process)]
    return found or [fine(f"{len(asked)} processes say that they are well")]


def _says(place: Place, process: Process) -> list[Finding]:
    again = place.start(process.name, process.unit)
    try:
        told = ask(doors_of(place.home, process.name)[0], "/health?detailed=true")
    except TimeoutError:
        return [wrong(f"{process.name} stands still: it takes a connection and does not answer", again)]
    except (OSError, Unavailable):
        return []  # it does not run, which is said by another check
    parts = {name: part for name, part in told.body.get("components", {}).items() if part.get("status") != "ok"}
    reasons = "; ".join(f"{name}: {part.get('reason', '')}" for name, part in parts.items())
    if not parts:
        return []
    if any(part.get("status") == "failed" for part in parts.values()):
        return [wrong(f"{process.name} is not ready: {reasons}", f"mend that; agentbus logs {process.name} says more")]
    return [doubtful(f"{process.name}: {reasons}", f"agentbus logs {process.name} says more")]


def _told(place: Place, state: State) -> list[Finding]:
    process = state.process
    if not state.is_up:
        fix = f"{place.start(process.name, process.unit)}; agentbus logs {process.name} says why"
        return [wrong(f"{process.name} is {state.state}: {state.status}".rstrip(": "), fix)]
    if (state.restarts or 0) >= _MANY_RESTARTS:
        why = f"agentbus logs {process.name} says why"
        return [doubtful(f"{process.name} was started again {state.restarts} times", why)]
    return []
