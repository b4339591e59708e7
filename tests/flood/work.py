"""What honest processes do meanwhile: somebody asks an agent at an even rate, and newcomers log in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from bus.connection import Connection
from bus.errors import ConnectionRefused
from tests.harness.fleet import Bench

_RATE = 200
_NEWCOMERS = 5
Ask = Callable[[], Awaitable[object]]
"""Asks an agent once; returns when it has answered."""


class Work:
    """Requests to an agent, through the server."""

    def __init__(self, running: Bench, ask: Ask) -> None:
        self._running = running
        self._ask = ask
        self.turned_away = 0
        """How many newcomers with a key of the fleet were not let in."""

    async def goes_on(self, for_s: float) -> list[float]:
        """The time of each request, in seconds; raises when one is not answered."""
        start, asked = time.perf_counter(), []
        for number in range(int(for_s * _RATE)):
            await asyncio.sleep(max(0.0, start + number / _RATE - time.perf_counter()))
            asked.append(asyncio.create_task(self._once()))
        return await asyncio.wait_for(asyncio.gather(*asked), 30)

    async def _once(self) -> float:
        asked_s = time.perf_counter()
        await self._ask()
        return time.perf_counter() - asked_s

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


def p99(seconds: list[float]) -> float:
    """In milliseconds."""
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000
