"""How a process tells that it is well: its checks, its numbers, and the doors at which they are asked for.

It begins before the process has connected, so that a process which waits for the server is live and not ready.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bus.background import OnFailure, only_logged, vital
from bus.connection import Connection
from bus.health.checks import OK, Check, Finding, Health
from bus.health.doors import Doors
from bus.health.lateness import Lateness
from bus.health.listener import Listener
from bus.health.pages import HealthPages
from bus.health.streams import StreamsCheck


class Report:
    """What one process tells of itself."""

    def __init__(self, process: str) -> None:
        self.health = Health(process)
        self.lateness = Lateness()
        self.on_failure: OnFailure = only_logged
        self._beside: list[asyncio.Task[None]] = []

    def watch(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Run a look that repeats until the process ends."""
        self._beside.append(vital(work, what, self.on_failure))

    def connected(self, name: str, connection: Connection) -> None:
        """The process stands on this connection, from now on."""
        self.health.add(name, link_check(connection))

    def stands_on(self, connection: Connection, streams: Sequence[Mapping[str, Any]]) -> None:
        """The process needs these streams, as they are configured here, in the account of `connection`."""
        look = StreamsCheck(connection, streams)
        self.health.add("streams", look.check)
        self.watch(look.run(), "the look at the streams")

    async def end(self) -> None:
        """Look no more."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)


@asynccontextmanager
async def reporting(process: str, doors: Doors) -> AsyncIterator[Report]:
    """Tell at `doors` how the process is, until left.

    Raises:
        NoListener: a door cannot be opened.
    """
    report = Report(process)
    pages = HealthPages(report.health, importlib.metadata.version("agentbus"), time.monotonic())
    report.health.add("loop", report.lateness.check)
    listener = Listener(doors, pages.table())
    await listener.start()
    report.watch(report.lateness.run(), "the look at the event loop")
    try:
        yield report
    finally:
        await report.end()
        await listener.close()


def link_check(connection: Connection) -> Check:
    """Whether there is a server at the other end."""

    def check() -> Finding:
        return (
            OK if connection.is_connected else Finding("failed", "not connected to the NATS server; it is tried again")
        )

    return check
