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
from tests.bench.audit import command, one_event
from tests.bench.report import Report
from tests.bench.stage import Stage
from tests.harness.sealing import sealing

_WRITERS = ("directory", "greeter")


async def singles_section(on: Stage, report: Report) -> None:
    """Fill, seal, and verify with the auditor's command."""
    audits = [await on.bench.audit(name) for name in _WRITERS]
    began, count = time.perf_counter(), report.sizes.trail
    async with sealing(on.bench) as running:
        await asyncio.gather(*(_fill(audit, count // len(audits)) for audit in audits))
        per_s = count / (time.perf_counter() - began)
        report.keep(emitted_to_stored_per_s=per_s)
        report.line(f"audit: {count:,} events, a message each", f"{per_s:>9,.0f} events/s")
        await running.until_read(count)
        report.keep(checkpoints=len(running.said))
        report.line("audit: checkpoints on that trail", f"{len(running.said):>9,}")
    await command(on, report, "verify")


async def _fill(audit: Audit, count: int) -> None:
    for begin in range(0, count, PACK_FROM - 1):
        for number in range(begin, min(count, begin + PACK_FROM - 1)):
            one_event(audit, number)
        await audit.confirm(60)
