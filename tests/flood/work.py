"""What honest processes do meanwhile: one asks another at an even rate, and newcomers log in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bus.connection import Connection
from bus.errors import ConnectionRefused
from bus.wire import Msg
from tests.harness.fleet import Bench

_RATE = 200
_NEWCOMERS = 5
_ASKED = "a2a.v1.req.textstats.concierge.SendMessage"
_PAYLOAD = b"x" * 512


class Work:
    """Requests of one agent to another, through the server."""

    def __init__(self, running: Bench, asker: Connection) -> None:
        self._running = running
        self._asker = asker
        self._waiting: dict[str, tuple[float, asyncio.Future[float]]] = {}
        self.turned_away = 0
        """How many newcomers with a key of the fleet were not let in."""

    def hear(self, message: Msg) -> None:
        """An answer."""
        sent_s, waiting = self._waiting.pop(message.subject)
        waiting.set_result(time.perf_counter() - sent_s)

    async def goes_on(self, for_s: float) -> list[float]:
        """The time of each request, in seconds; raises when one is not answered."""
        loop, start, waiting = asyncio.get_running_loop(), time.perf_counter(), []
        for number in range(int(for_s * _RATE)):
            await asyncio.sleep(max(0.0, start + number / _RATE - time.perf_counter()))
            reply = f"a2a.v1.rep.concierge.textstats.x.{number}"
            answered: asyncio.Future[float] = loop.create_future()
            self._waiting[reply] = time.perf_counter(), answered
            waiting.append(answered)
            await self._asker.publish(_ASKED, _PAYLOAD, reply=reply)
        return await asyncio.wait_for(asyncio.gather(*waiting), 30)

    async def newcomers(self, for_s: float) -> list[float]:
        """How long each login with a key of the fleet took, one after the other, in seconds."""
        took, end = [], time.monotonic() + for_s
        while time.monotonic() < end:
            begun = time.perf_counter()
            try:
                connection = await Connection.open(self._running.profile("ops", "bus.nk", wait_for_server=False))
                await connection.close()
                took.append(time.perf_counter() - begun)
            except ConnectionRefused:
                self.turned_away += 1
            await asyncio.sleep(1 / _NEWCOMERS)
        return took


@asynccontextmanager
async def working(running: Bench) -> AsyncIterator[Work]:
    """Two agents of the fleet, connected."""
    asker, worker = await running.connect("concierge"), await running.connect("textstats")
    work = Work(running, asker)
    await asker.subscribe("a2a.v1.rep.concierge.*.*.*", work.hear)
    await worker.subscribe("a2a.v1.req.textstats.*.*", lambda message: worker.enqueue(message.reply, message.data))
    await asker.flush()
    await worker.flush()
    yield work


def p99(seconds: list[float]) -> float:
    """In milliseconds."""
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000
