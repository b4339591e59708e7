"""While a process serves: the service manager's watchdog is fed by the event loop, and a loop that is late is told of.

A loop that stands still does not feed, and the process is ended and started again. One that only was late goes on:
the log says by how much, and so does the status line, until there is another one.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from agents.notify import Notifier
from agents.processes.looking_again import Look, look_again, nothing
from bus.health.lateness import Lateness

_log = structlog.get_logger("process")


@asynccontextmanager
async def alive(
    notifier: Notifier, lateness: Lateness, status: str, asked_again: asyncio.Event, look: Look = nothing
) -> AsyncIterator[None]:
    """Say that the process is ready and does `status`; then as above, until left. It looks again when it is asked."""

    def tell(late_s: float) -> None:
        _log.warning("process.loop_blocked", late_s=round(late_s, 3), advice="a handler computes: asyncio.to_thread")
        at = datetime.datetime.now(datetime.UTC)
        notifier.status(f"{status}; the event loop stood still for {late_s:.1f} s until {at:%H:%M:%S} UTC")

    lateness.on_late = tell
    feeding = asyncio.create_task(notifier.feed_watchdog())
    looking = asyncio.create_task(look_again(asked_again, look, notifier, status))
    notifier.ready(status)
    try:
        yield
    finally:
        feeding.cancel()
        looking.cancel()
        lateness.on_late = None
