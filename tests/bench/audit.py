"""What the trail costs: to write an event, to have it on the server's disk, to read and to verify a million."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

from bus.audit.emit import Audit
from tests.bench.line import line
from tests.bench.stage import Stage

_EMITTED = 20_000
_AWAITED = 1_000
MILLION = 1_000_000
_BREATHE = 500
"""Events after which others may run: an agent emits a few at a time."""


async def audit_section(on: Stage, stored: float) -> None:
    """`stored` is the baseline: raw publishes into a stream on the same disk, each acknowledged, in messages/s."""
    audit = await on.bench.audit("concierge")
    await _emit(audit)
    for size, count in ((1, _AWAITED), (100, _EMITTED), (500, _EMITTED)):
        await _confirmed(audit, size, count, stored)
    await _fill(audit, MILLION)
    await command(on, "replay", "--json")
    await command(on, "verify")


async def _emit(audit: Audit) -> None:
    took = 0.0
    for _ in range(_EMITTED // _BREATHE):
        began = time.perf_counter()
        for number in range(_BREATHE):
            one_event(audit, number)
        took += time.perf_counter() - began
        await audit.confirm(60)
    line("audit: emit, one event", f"{took / _EMITTED * 1e6:>9.1f} µs")


async def _confirmed(audit: Audit, size: int, count: int, stored: float) -> None:
    began = time.perf_counter()
    for _ in range(count // size):
        for number in range(size):
            one_event(audit, number)
        await audit.confirm(60)
    rate = count / (time.perf_counter() - began)
    title = "each awaited" if size == 1 else f"{size} at a time"
    line(f"audit: signed, stored, synced to disk, {title}", f"{rate:>9,.0f} events/s     {rate / stored:.2f} of stored")


async def _fill(audit: Audit, count: int) -> None:
    began = time.perf_counter()
    for number in range(count):
        one_event(audit, number)
        if number % _BREATHE == 0:
            await (audit.catch_up() if audit.is_behind else asyncio.sleep(0))
    await audit.confirm(60)
    line(f"audit: {count:,} events, emitted to stored", f"{count / (time.perf_counter() - began):>9,.0f} events/s")


async def command(on: Stage, *arguments: str) -> None:
    """A command over the whole trail, as an auditor runs it, start of Python included."""
    command = [sys.executable, "-m", "agents.cli", "audit", *arguments, "--home", str(on.bench.home.root)]
    began = time.perf_counter()
    status, cpu_s, peak_kib = await asyncio.to_thread(_ran, command)
    took_s = time.perf_counter() - began
    assert status == 0, f"agentbus audit {arguments[0]} failed"
    figures = f"{took_s:.1f} s, {cpu_s:.1f} s of a processor, {peak_kib / 1024:.0f} MiB at most"
    line(f"audit: {arguments[0]} of all of it", f"{MILLION / took_s:>9,.0f} events/s     {figures}")


def _ran(command: list[str]) -> tuple[int, float, int]:
    """Exit status, the processor time that it took, which others' load does not change, and the most memory, in KiB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def one_event(audit: Audit, number: int) -> None:
    """Such an event as an agent writes for each request."""
    audit.emit("request.answered", action="SendMessage", actor="ops", size=number, duration_ms=1.0)
