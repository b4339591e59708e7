"""What happened, event by event, for a person or a machine."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from agents.cli.audit.tail import line_of
from agents.cli.run import log_quietly, run_async
from agents.cli.when import moment_before
from agents.people import auditor, fleet_of
from bus.audit.read import Reader, Record
from bus.audit.select import Selection, selected, stored_at
from bus.surroundings import Home
from schemas.errors import InvalidDocument


class Times(NamedTuple):
    """From where to where, as typed."""

    start: int = 1
    since: str = ""
    until: str = ""


class Which(NamedTuple):
    """Which events, as typed; empty is all."""

    subject: str = ""
    agent: str = ""
    kind: str = ""
    correlation: str = ""
    task: str = ""
    outcome: str = ""


class Shape(NamedTuple):
    """How to print them; `limit` 0 is none."""

    limit: int = 0
    is_followed: bool = False
    is_json: bool = False


def selection(times: Times, which: Which) -> Selection:
    """What was typed, as what it selects.

    Raises:
        InvalidDocument: it selects nothing, or cannot be read.
    """
    now = datetime.datetime.now(datetime.UTC)
    if times.start < 1:
        raise InvalidDocument("--from is a stream sequence: 1 or more")
    wanted = Selection(
        start=times.start,
        since=moment_before("--since", times.since, now),
        until=moment_before("--until", times.until, now),
        **which._asdict(),
    )
    wanted.check()
    return wanted


@asynccontextmanager
async def trail_of(root: Path) -> AsyncIterator[Reader]:
    """The trail of the fleet in `root`, read as its auditor."""
    home = Home(root.resolve())
    async with auditor(home, fleet_of(home)) as connection:
        yield Reader(connection)


def replay(root: Path, wanted: Selection, shape: Shape) -> None:
    """Print every event that matches."""
    log_quietly()
    if shape.limit < 0:
        raise InvalidDocument("--limit is a number of events: 0 (no limit) or more")
    if shape.is_followed and wanted.until:
        raise InvalidDocument("give --follow or --until, not both")

    async def main() -> None:
        async with (
            trail_of(root) as reader,
            aclosing(selected(reader, wanted, follow=shape.is_followed)) as events,
        ):
            await _print_all(events, shape)

    run_async(main())


async def _print_all(events: AsyncIterator[Record], shape: Shape) -> None:
    shown, day = 0, datetime.datetime.now(datetime.UTC).date()
    async for event in events:
        stored = stored_at(event).date()
        if not shape.is_json and stored != day:
            day = stored
            print(f"{day}:")
        print(line_of(event, as_json=shape.is_json), flush=shape.is_followed)
        shown += 1
        if shown == shape.limit:
            return
