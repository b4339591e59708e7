"""Verification of the stream itself, as a server gives it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bus.audit.head import FILE, Head, read_head
from bus.audit.read import Bounds, Reader
from bus.audit.trust import Trust
from bus.audit.verify import Report, Verifier
from bus.errors import NotProvisioned
from schemas.errors import DeadlineExceeded, Unavailable

_SETTLE_S = 3.0
"""How long a batch that is being stored while we read may take to be whole."""
_PROGRESS_EVENTS = 5000

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
    start: int = 1,
    on_progress: Progress = _silent,
) -> Report:
    """Verify everything from sequence `start` that the stream holds now. Never raises for what it finds.

    `on_progress` is told (sequence reached, last sequence). An interrupted verification goes on from
    the report's `last_sequence + 1`; what lies across the cut is then taken as it is.
    """
    verifier = Verifier(trust, tuple(heads) if start == 1 else (), start)
    try:
        bounds = await reader.bounds()
    except NotProvisioned as error:
        return verifier.finish() if verifier.heads else verifier.stop(str(error))
    except (Unavailable, DeadlineExceeded) as error:
        return verifier.stop(str(error))
    try:
        await _read(reader, verifier, bounds, on_progress)
        await _settle(reader, verifier)
    except (Unavailable, DeadlineExceeded) as error:
        return verifier.stop(f"reading stopped after stream sequence {verifier.position - 1}: {error}")
    return verifier.finish()


async def _read(reader: Reader, verifier: Verifier, bounds: Bounds, on_progress: Progress) -> None:
    async for record in reader.records(verifier.position, until=bounds.last):
        verifier.add(record)
        if verifier.events % _PROGRESS_EVENTS == 0:
            on_progress(record.sequence, bounds.last)
    verifier.missing_after(bounds.last)
    on_progress(bounds.last, bounds.last)


async def _settle(reader: Reader, verifier: Verifier) -> None:
    """Read on to the end of a batch that was being stored when the reading began."""
    deadline = time.monotonic() + _SETTLE_S
    while not verifier.is_settled() and time.monotonic() < deadline:
        async for record in reader.records(verifier.position):
            verifier.add(record)
            if verifier.is_settled():
                return
        await asyncio.sleep(0.1)
