"""`make bench` does without it, it takes minutes: a sealed trail of a million events, each a message of its own.

    .venv/bin/python -m tests.bench --singles

It is the trail that costs an auditor most: batches stay below the size from which events are packed, and a checkpoint
lies behind every thousand messages.
"""

from __future__ import annotations

import asyncio
import time

from bus.audit.emit import Audit
from bus.audit.packing import PACK_FROM
from tests.bench.audit import MILLION, command, one_event
from tests.bench.line import line
from tests.bench.stage import Stage
from tests.harness.sealing import sealing

_WRITERS = ("concierge", "greeter")


async def singles_section(on: Stage) -> None:
    """Fill, seal, and verify with the auditor's command."""
    audits = [await on.bench.audit(name) for name in _WRITERS]
    began = time.perf_counter()
    async with sealing(on.bench) as running:
        await asyncio.gather(*(_fill(audit, MILLION // len(audits)) for audit in audits))
        line(f"audit: {MILLION:,} events, a message each", f"{MILLION / (time.perf_counter() - began):>9,.0f} events/s")
        await running.until_read(MILLION)
        line("audit: checkpoints on that trail", f"{len(running.said):>9,}")
    await command(on, "verify")


async def _fill(audit: Audit, count: int) -> None:
    for begin in range(0, count, PACK_FROM - 1):
        for number in range(begin, min(count, begin + PACK_FROM - 1)):
            one_event(audit, number)
        await audit.confirm(60)
