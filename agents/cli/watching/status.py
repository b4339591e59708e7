"""`agentbus status`: what starts the processes, and what the bus sees of them, side by side."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.cli.run import STOPPED, log_quietly, run_async
from agents.cli.shown import is_colourful, width_of_terminal
from agents.cli.watching.notes import notes
from agents.observing import NotRunning, Place, State, place_of, states_of
from agents.observing.numbers import numbers_of
from agents.observing.on_the_bus import who_answers
from agents.people import operators_connection
from bus.errors import ConnectionRefused, CredentialMissing
from bus.provision.members import server_url
from schemas import names
from schemas.text import harmless

_HEAD = ("PROCESS", "STATE", "PID", "RESTARTS", "BUS", "STATUS")
_LEAST = (18, 10, 8, 10, 9)
"""Columns, at least so wide; the last one is as long as it is."""


@dataclass(frozen=True, slots=True)
class Row:
    """A process, with what the bus says of it: `answers`, `silent`, how many of its instances, or nothing."""

    state: State
    bus: str

    @property
    def is_well(self) -> bool:
        """Whether it is up, and the bus agrees."""
        return self.state.is_up and self.bus in {"answers", ""}


@dataclass(frozen=True, slots=True)
class Seen:
    """All of it at one moment; `notes` are sentences on what the rows do not say."""

    rows: Sequence[Row]
    notes: Sequence[str]


def status(root: Path, *, as_json: bool) -> None:
    """Print a row per process; exit 3 when nothing runs, 1 when something is not ready or is silent on the bus."""
    log_quietly()
    place = place_of(root, time.time())
    try:
        seen = run_async(_seen(place)) if place.is_known else None
    except NotRunning:
        seen = None
    if seen is None:
        print(json.dumps({"running": False}) if as_json else f"no fleet runs in {place.home.root}")
        raise SystemExit(STOPPED)
    if as_json:
        told = {
            "running": True,
            "url": server_url(place.fleet, place.home),
            "processes": [_as_json(row) for row in seen.rows],
            "notes": list(seen.notes),
        }
        print(json.dumps(told))
    else:
        _print(seen)
    raise SystemExit(0 if all(row.is_well for row in seen.rows) else 1)


def _print(seen: Seen) -> None:
    cells = [_HEAD, *(tuple(map(harmless, _cells(row))) for row in seen.rows)]
    widths = [max(least, *(len(row[column]) + 2 for row in cells)) for column, least in enumerate(_LEAST)]
    amiss = [False, *(not row.is_well for row in seen.rows)]
    for row, is_amiss in zip(cells, amiss, strict=True):
        line = "".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) + row[-1]
        shown = line[: width_of_terminal()].rstrip()
        print(f"\x1b[31m{shown}\x1b[0m" if is_amiss and is_colourful() else shown)
    for note in seen.notes:
        print(f"\n{harmless(note)}" if note == seen.notes[0] else harmless(note))


async def _seen(place: Place) -> Seen:
    states = await states_of(place)
    heard = await _heard(place, states)
    told = await asyncio.to_thread(numbers_of, place)
    rows = [Row(state, _bus(state, states, heard)) for state in states]
    return Seen(rows, notes(place, states, heard, told))


async def _heard(place: Place, states: Sequence[State]) -> Mapping[str, int] | None:
    """How many instances of each agent answer on the bus; None where the server does not."""
    up = [state.process.agent for state in states if state.process.agent and state.is_up]
    try:
        async with operators_connection(place.home.root, "") as (connection, _):
            return Counter(each.agent for each in await who_answers(connection, up))
    except (ConnectionRefused, CredentialMissing):
        return None


def _bus(state: State, states: Sequence[State], heard: Mapping[str, int] | None) -> str:
    agent = state.process.agent
    if heard is None or not agent:
        is_server = state.process.name == names.NATS_SERVER
        return ("silent" if heard is None else "answers") if is_server else ""
    return _word(heard.get(agent, 0), sum(each.process.agent == agent for each in states))


def _word(answered: int, expected: int) -> str:
    if answered == expected:
        return "answers"
    return f"{answered} of {expected}" if answered else "silent"


def _cells(row: Row) -> tuple[str, ...]:
    state = row.state
    restarts = "" if state.restarts is None else str(state.restarts)
    return state.process.name, state.state, str(state.pid or ""), restarts, row.bus, state.status


def _as_json(row: Row) -> dict[str, Any]:
    state = row.state
    return {
        "name": state.process.name, "unit": state.process.unit, "state": state.state, "ready": state.is_up,
        "pid": state.pid, "restarts": state.restarts, "status": state.status, "bus": row.bus,
    }  # fmt: skip
