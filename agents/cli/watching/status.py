"""`agentbus status`: what starts the processes, and what the bus sees of them, side by side."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.cli.run import STOPPED, log_quietly, run_async
from agents.observing import NotRunning, Place, State, place_of, states_of
from agents.observing.on_the_bus import who_answers
from agents.people import operators_connection
from bus.errors import ConnectionRefused, CredentialMissing
from bus.provision.members import server_url
from schemas import names
from schemas.text import harmless

_HEAD = ("PROCESS", "STATE", "PID", "RESTARTS", "BUS", "STATUS")
_WIDTHS = (20, 12, 9, 10, 10)


@dataclass(frozen=True, slots=True)
class Row:
    """A process, with what the bus says of it: `answers`, `silent`, how many of its instances, or nothing."""

    state: State
    bus: str

    @property
    def is_well(self) -> bool:
        """Whether it is up, and the bus agrees."""
        return self.state.is_up and self.bus in {"answers", ""}


def status(root: Path, *, as_json: bool) -> None:
    """Print a row per process; exit 3 when nothing runs, 1 when something is not ready or is silent on the bus."""
    log_quietly()
    place = place_of(root, time.time())
    try:
        rows = run_async(_rows(place)) if place.is_known else []
    except NotRunning:
        rows = []
    if not rows:
        print(json.dumps({"running": False}) if as_json else f"no fleet runs in {place.home.root}")
        raise SystemExit(STOPPED)
    if as_json:
        told = {
            "running": True,
            "url": server_url(place.fleet, place.home),
            "processes": [_as_json(row) for row in rows],
        }
        print(json.dumps(told))
    else:
        print(_line(_HEAD))
        for row in rows:
            print(harmless(_line(_cells(row))))
    raise SystemExit(0 if all(row.is_well for row in rows) else 1)


async def _rows(place: Place) -> Sequence[Row]:
    states = await states_of(place)
    seen = await _seen(place, states)
    return [Row(state, seen.get(state.process.agent or state.process.name, "")) for state in states]


async def _seen(place: Place, states: Sequence[State]) -> Mapping[str, str]:
    """What the bus says, by agent, and of the server itself."""
    expected = Counter(state.process.agent for state in states if state.process.agent)
    up = [state.process.agent for state in states if state.process.agent and state.is_up]
    try:
        async with operators_connection(place.home.root, "") as (connection, _):
            answered = Counter(each.agent for each in await who_answers(connection, up))
    except (ConnectionRefused, CredentialMissing):
        return {names.NATS_SERVER: "silent"}
    return {names.NATS_SERVER: "answers"} | {agent: _word(answered[agent], count) for agent, count in expected.items()}


def _word(answered: int, expected: int) -> str:
    if answered >= expected:
        return "answers"
    return f"{answered} of {expected}" if answered else "silent"


def _cells(row: Row) -> tuple[str, ...]:
    state = row.state
    restarts = "" if state.restarts is None else str(state.restarts)
    return state.process.name, state.state, str(state.pid or ""), restarts, row.bus, state.status


def _line(cells: Sequence[str]) -> str:
    return "".join(f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=False)) + cells[-1]


def _as_json(row: Row) -> dict[str, Any]:
    state = row.state
    return {
        "name": state.process.name, "unit": state.process.unit, "state": state.state, "ready": state.is_up,
        "pid": state.pid, "restarts": state.restarts, "status": state.status, "bus": row.bus,
    }  # fmt: skip
