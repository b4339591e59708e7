"""The processes: do all of them run, and are they ready?"""

from __future__ import annotations

from collections.abc import Sequence

from agents.doctor.finding import Finding, doubtful, fine, wrong
from agents.installation import NotRunning, Place, State, states_of

_MANY_RESTARTS = 3


async def running(place: Place) -> Sequence[Finding]:
    """Each process runs, and was not started again and again."""
    try:
        states = await states_of(place)
    except NotRunning:
        return [wrong("no fleet runs here", f"agentbus up --home {place.home.root} --detach")]
    found = [finding for state in states for finding in _told(place, state)]
    return found or [fine(f"all {len(states)} processes run")]


def _told(place: Place, state: State) -> list[Finding]:
    process = state.process
    if not state.is_up:
        fix = f"{place.start(process.name, process.unit)}; agentbus logs {process.name} says why"
        return [wrong(f"{process.name} is {state.state}: {state.status}".rstrip(": "), fix)]
    if (state.restarts or 0) >= _MANY_RESTARTS:
        why = f"agentbus logs {process.name} says why"
        return [doubtful(f"{process.name} was started again {state.restarts} times", why)]
    return []
