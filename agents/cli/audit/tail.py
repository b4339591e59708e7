"""Following the audit trail, as an auditor."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from agents.cli.run import log_quietly, run_async
from agents.cli.shown import is_colourful
from agents.people import auditor, fleet_of
from bus.audit.formats.render import Piece, plain, render_record
from bus.audit.read import Reader, Record, events_of
from bus.surroundings import Home
from schemas import subjects
from schemas.audit import decode_event

_COLOURS: dict[Piece, str] = {"time": "2", "source": "36", "type": "1", "bad": "31", "detail": "2"}


def colours(piece: Piece, text: str) -> str:
    """ANSI colours, for a terminal."""
    code = _COLOURS.get(piece)
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def line_of(record: Record, *, as_json: bool) -> str:
    """A record as a person or as a machine reads it."""
    if as_json:
        plain_record = {
            "sequence": record.sequence, "place": record.place, "time": record.time, "subject": record.subject
        }  # fmt: skip
        if record.subject == subjects.SEAL:
            text = record.payload.decode(errors="replace")
            return msgspec.json.encode({**plain_record, "event": None, "checkpoint": text}).decode()
        return msgspec.json.encode({**plain_record, **_event_or_bytes(record)}).decode()
    return render_record(record, markup=colours if is_colourful() else plain)


def _event_or_bytes(record: Record) -> dict[str, object]:
    """The event as it stands, in one line; of what is none the bytes, in base64."""
    try:
        decode_event(record.payload)
    except msgspec.DecodeError:
        return {"event": None, "unreadable": record.payload}
    if record.problem:
        return {"event": None, "problem": record.problem}
    return {"event": msgspec.Raw(msgspec.json.format(record.payload, indent=-1))}


async def follow(home: Home, start: int = 0, last: int = 0) -> AsyncIterator[Record]:
    """Events from stream sequence `start`, or the `last` ones, and then every new one."""
    async with auditor(home, fleet_of(home)) as connection:
        reader = Reader(connection)
        if not start:
            end = (await reader.bounds()).last
            start = end + 1
            for event in await _last(reader, last, end):
                yield event
        async for record in reader.records(start, follow=True, poll_s=0.15):
            for event in events_of(record):
                yield event


async def _last(reader: Reader, count: int, end: int) -> list[Record]:
    """The last `count` events up to stream sequence `end`: a message has one at least."""
    kept: deque[Record] = deque(maxlen=count)
    async for record in reader.records(max(1, end - count + 1), until=end):
        kept.extend(events_of(record))
    return list(kept)


def tail(root: Path, count: int, *, as_json: bool) -> None:
    """Show the last events, then new ones."""
    log_quietly()

    async def main() -> None:
        async for record in follow(Home(root.resolve()), last=count):
            print(line_of(record, as_json=as_json), flush=True)

    run_async(main())


async def cancelled(task: asyncio.Task[None]) -> None:
    """End a task and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
