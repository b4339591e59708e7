"""Verification of the stream itself, as a server gives it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from bus.audit.head import FILE, Head, read_head
from bus.audit.read import Bounds, Reader
from bus.audit.seal.check import SealCheck
from bus.audit.trust import Trust
from bus.audit.verify import Report, Verifier
from bus.errors import NotProvisioned
from schemas.errors import DeadlineExceeded, Unavailable

_SETTLE_S = 3.0
"""How long a batch that is being stored while we read may take to be whole."""
_PROGRESS_EVERY = 100

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
    async for record in reader.records(verifier.position, until=bounds.last):
        verifier.add(record)
        if record.sequence % _PROGRESS_EVERY == 0:
            on_progress(record.sequence, bounds.last)
    if bounds.last < verifier.begin.after:
        verifier.ended_before(bounds.last)
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
