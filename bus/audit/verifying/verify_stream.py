"""Verification of the stream itself, as a server gives it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from bus.audit.read import Bounds, Reader, Record
from bus.audit.seal.check import SealCheck
from bus.audit.trust import Trust
from bus.audit.verifying.verify import Report, Verifier
from bus.audit.writing.head import FILE, Head, read_head
from bus.errors import NotProvisioned
from schemas.errors import DeadlineExceeded, Unavailable

_SETTLE_S = 3.0
"""How long a batch that is being stored while we read may take to be whole."""
_PROGRESS_EVERY = 100
_ORDERS = ("Nats-Batch-", "Nats-Expected-")

Progress = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def find_heads(state: Path) -> list[Head]:
    """Every head that processes of this host keep below `state`. Read them *before* the stream."""
    found = (read_head(path.parent) for path in sorted(state.rglob(FILE)))
    return [head for head in found if head is not None]


async def verify_stream(
    reader: Reader,
    trust: Trust,
    heads: Iterable[Head] = (),
    *,
    seals: SealCheck | None = None,
) -> Report:
    """Verify everything that the stream holds now. Never raises for what it finds."""
    return await verify_with(reader, Verifier(trust, tuple(heads), seals=seals))


async def verify_with(
    reader: Reader, verifier: Verifier, on_progress: Progress = _silent, *, now: datetime | None = None
) -> Report:
    """Feed `verifier` what the stream holds now. Never raises for what it finds.

    `on_progress` is told (sequence reached, last sequence), also before the first. Whenever this waits or calls, and
    when it is cancelled, the verifier is between two messages. Processes that were silent `now` are named.
    """
    try:
        bounds = await reader.bounds()
    except NotProvisioned as error:
        return _gone(verifier, str(error))
    except (Unavailable, DeadlineExceeded) as error:
        return verifier.stop(str(error))
    try:
        await _read(reader, verifier, bounds, on_progress)
        await _settle(reader, verifier)
    except (Unavailable, DeadlineExceeded) as error:
        return verifier.stop(f"reading stopped after stream sequence {verifier.position - 1}: {error}")
    return verifier.finish(now)


def _gone(verifier: Verifier, reason: str) -> Report:
    """There is no stream: evidence for who knows that there was one."""
    if verifier.begin.after:
        verifier.ended_before(0)
    is_known = verifier.begin.after or verifier.heads or (verifier.seals and verifier.seals.is_expecting)
    return verifier.finish() if is_known else verifier.stop(reason)


async def _read(reader: Reader, verifier: Verifier, bounds: Bounds, on_progress: Progress) -> None:
    on_progress(verifier.position - 1, bounds.last)
    copies = _Copies(reader, (await reader.archives()).last)
    async for record in reader.records(verifier.position, until=bounds.last, on_broken=verifier.broken):
        verifier.add(record)
        if record.sequence <= copies.end:
            await copies.compare(record, verifier)
        if record.sequence % _PROGRESS_EVERY == 0:
            on_progress(record.sequence, bounds.last)
    await copies.finish(verifier)
    if bounds.last < verifier.begin.after:
        verifier.ended_before(bounds.last)
    verifier.missing_after(bounds.last)
    on_progress(bounds.last, bounds.last)


class _Copies:
    """What AUDIT holds of messages that are in archives, compared with them in one reading side by side.

    Of each subject the last one must be there: its producer goes on from it.
    """

    def __init__(self, reader: Reader, end: int) -> None:
        self._reader = reader
        self._copies = reader.copies()
        self._copy: Record | None = None
        self._found: dict[str, int] = {}
        self._lasts: dict[str, int] = {}
        self.end = end
        """The last sequence that is in an archive."""

    async def compare(self, record: Record, verifier: Verifier) -> None:
        """Say it when the copy of this record is none."""
        if not record.problem:
            self._lasts[record.subject] = record.sequence
        while self._copy is None or self._copy.sequence < record.sequence:
            self._copy = await anext(self._copies, None)
            if self._copy is None:
                return
            self._found[self._copy.subject] = self._copy.sequence
        if self._copy.sequence == record.sequence and not _is_copy(self._copy, record):
            verifier.differs_in_copy(record.sequence, record.subject, "another")

    async def finish(self, verifier: Verifier) -> None:
        """Say which copies are not there."""
        for subject, last in self._lasts.items():
            if self._found.get(subject, 0) < last and await self._reader.last_on(subject) < last:
                verifier.differs_in_copy(last, subject, "gone")


def _is_copy(copy: Record, record: Record) -> bool:
    """The server leaves out of a copy the headers that gave it orders."""
    kept = {name: value for name, value in record.headers.items() if not name.startswith(_ORDERS)}
    same = (copy.subject, copy.time, copy.payload) == (record.subject, record.time, record.payload)
    return same and (bool(record.problem) or copy.headers == kept)


async def _settle(reader: Reader, verifier: Verifier) -> None:
    """Read on to the end of a batch that was being stored when the reading began."""
    deadline = time.monotonic() + _SETTLE_S
    while not verifier.is_settled() and time.monotonic() < deadline:
        async for record in reader.records(verifier.position):
            verifier.add(record)
            if verifier.is_settled():
                return
        await asyncio.sleep(0.1)
