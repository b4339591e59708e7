"""How a process tells that it is well: its checks, its numbers, and the doors at which they are asked for.

It begins before the process has connected, so that a process which waits for the server is live and not ready.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from bus.audit.emit import Audit
from bus.background import OnFailure, only_logged, vital
from bus.connection import Connection
from bus.health import trail
from bus.health.checks import OK, Check, Finding, Health, failed
from bus.health.doors import Doors
from bus.health.from_events import FromEvents
from bus.health.http import Page
from bus.health.lateness import Lateness
from bus.health.listener import Listener
from bus.health.metrics_page import MetricsPage
from bus.health.numbers import Look, Numbers, Sample
from bus.health.pages import METRICS_PATH, HealthPages
from bus.health.streams import StreamsCheck


class Report:
    """What one process tells of itself. `agent` is empty where it is none."""

    def __init__(self, process: str, agent: str = "") -> None:
        self.health = Health(process)
        self.lateness = Lateness()
        self.numbers = Numbers()
        self.counts = FromEvents(self.numbers)
        self.on_failure: OnFailure = only_logged
        self._agent = agent
        self._version = importlib.metadata.version("agentbus")
        self._beside: list[asyncio.Task[None]] = []
        self._links: dict[str, Connection] = {}
        self.health.add("loop", self.lateness.check)
        self.numbers.looks.append(self._look)

    def pages(self) -> Mapping[str, Page]:
        """Everything that may be asked for."""
        metrics = MetricsPage(self.numbers, self._agent, self.health.process)
        return {
            **HealthPages(self.health, self._version, time.monotonic()).table(), METRICS_PATH: metrics.answer
        }  # fmt: skip

    def watch(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Run a look that repeats until the process ends."""
        self._beside.append(vital(work, what, self.on_failure))

    def connected(self, name: str, connection: Connection) -> None:
        """The process stands on this connection, from now on."""
        self._links[name] = connection
        self.health.add(name, link_check(connection))

    def writes(self, audit: Audit) -> None:
        """The process tells what it does on this trail."""
        self.health.add("trail", trail.check_of(audit))
        self.numbers.looks.append(partial(trail.look_at, audit))

    def stands_on(self, connection: Connection, streams: Sequence[Mapping[str, Any]]) -> None:
        """The process needs these streams, as they are configured here, in the account of `connection`."""
        look = StreamsCheck(connection, streams)
        self.health.add("streams", look.check)
        self.watch(look.run(), "the look at the streams")

    def serves(self, operations: Iterable[str], look: Look) -> None:
        """An agent's process answers these operations; `look` says how busy it is."""
        self.counts.operations = frozenset(operations)
        self.numbers.looks.append(look)

    def cosigned(self, status: int) -> None:
        """A witness answered so."""
        self.numbers.add("agentbus_cosigned_total", (str(status),))

    async def end(self) -> None:
        """Look no more."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)

    def _look(self) -> Iterable[Sample]:
        findings = self.health.look()
        yield Sample("agentbus_info", (self._version,), 1)
        yield Sample("agentbus_ready", (), not failed(findings))
        yield Sample("agentbus_loop_lateness_seconds", (), self.lateness.worst_s)
        for name, finding in findings.items():
            yield Sample("agentbus_component_state", (name,), finding.rank)
        for name, link in self._links.items():
            yield Sample("agentbus_connected", (name,), link.is_connected)
            yield Sample("agentbus_reconnects_total", (name,), link.reconnects)


@asynccontextmanager
async def reporting(process: str, doors: Doors, agent: str = "") -> AsyncIterator[Report]:
    """Tell at `doors` how the process is, until left.

    Raises:
        NoListener: a door cannot be opened.
    """
    report = Report(process, agent)
    listener = Listener(doors, report.pages())
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
