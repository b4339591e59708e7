"""What the trail costs: to write an event, to have it on the server's disk, to read and to verify a million."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time

from bus.audit.emit import Audit
from tests.bench.report import Report
from tests.bench.stage import Stage

_BREATHE = 500
"""Events after which others may run: an agent emits a few at a time."""


async def audit_section(on: Stage, report: Report, stored: float) -> None:
    """`stored` is the baseline: raw publishes into a stream on the same disk, each acknowledged, in messages/s."""
    sizes = report.sizes
    audit = await on.bench.audit("concierge")
    await _emit(audit, report)
    for size, count in ((1, sizes.awaited), (100, sizes.emitted), (500, sizes.emitted)):
        await _confirmed(audit, size, count, report, stored)
    await _fill(audit, report)
    await command(on, report, "replay", "--json")
    await command(on, report, "verify")


async def _emit(audit: Audit, report: Report) -> None:
    took = []
    for _ in range(report.sizes.emitted // _BREATHE):
        began = time.perf_counter()
        for number in range(_BREATHE):
            one_event(audit, number)
        took.append((time.perf_counter() - began) / _BREATHE * 1e6)
        await audit.confirm(60)
    report.keep(emit_us=statistics.median(took))
    report.line("audit: emit, one event, median of the runs", f"{statistics.median(took):>9.1f} µs")


async def _confirmed(audit: Audit, size: int, count: int, report: Report, stored: float) -> None:
    began = time.perf_counter()
    for _ in range(count // size):
        for number in range(size):
            one_event(audit, number)
        await audit.confirm(60)
    per_s = count / (time.perf_counter() - began)
    ratio = report.compare(f"confirmed_by_{size}", [per_s], [stored])
    title = "each awaited" if size == 1 else f"{size} at a time"
    report.line(f"audit: signed, stored, synced to disk, {title}", f"{per_s:>9,.0f} events/s     {ratio:.2f} of stored")


async def _fill(audit: Audit, report: Report) -> None:
    began, count = time.perf_counter(), report.sizes.trail
    for number in range(count):
        one_event(audit, number)
        if number % _BREATHE == 0:
            await (audit.catch_up() if audit.is_behind else asyncio.sleep(0))
    await audit.confirm(60)
    per_s = count / (time.perf_counter() - began)
    report.keep(emitted_to_stored_per_s=per_s)
    report.line(f"audit: {count:,} events, emitted to stored", f"{per_s:>9,.0f} events/s")


async def command(on: Stage, report: Report, verb: str, *options: str) -> None:
    """A command over the whole trail, as an auditor runs it, start of Python included."""
    command = [sys.executable, "-m", "agents.cli", "audit", verb, *options, "--home", str(on.bench.home.root)]
    began = time.perf_counter()
    status, cpu_s, peak_bytes = await asyncio.to_thread(_ran, command)
    took_s = time.perf_counter() - began
    assert status == 0, f"agentbus audit {verb} failed"
    report.keep(**{f"{verb}_s": took_s, f"{verb}_cpu_s": cpu_s, f"{verb}_mb": peak_bytes / 1e6})
    figures = f"{took_s:.1f} s, {cpu_s:.1f} s of a processor, {peak_bytes / 1e6:.0f} MB at most"
    report.line(f"audit: {verb} of all of it", f"{report.sizes.trail / took_s:>9,.0f} events/s     {figures}")


def _ran(command: list[str]) -> tuple[int, float, int]:
    """Exit status, the processor time that it took, which others' load does not change, and the most memory."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def one_event(audit: Audit, number: int) -> None:
    """Such an event as an agent writes for each request."""
    audit.emit("request.answered", action="SendMessage", actor="ops", size=number, duration_ms=1.0)
