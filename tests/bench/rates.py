"""How fast something is asked: many at a time, and one by one."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from schemas import a2a

IN_FLIGHT = 64
Ask = Callable[[], Awaitable[object]]


async def rate(ask: Ask, count: int, in_flight: int = IN_FLIGHT) -> float:
    """How many a second, with `in_flight` always under way."""
    rounds = max(1, count // in_flight)

    async def worker() -> None:
        for _ in range(rounds):
            await ask()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return rounds * in_flight / (time.perf_counter() - began)


async def p50_us(ask: Ask, count: int) -> float:
    """The median time of one, when nothing else is asked."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def request_of(part: a2a.Part, skill: str = "") -> a2a.SendMessageRequest:
    """A message of one part."""
    metadata: dict[str, object] = {"skill": skill} if skill else {}
    return a2a.SendMessageRequest(
        message=a2a.Message(message_id="1", role="ROLE_USER", parts=(part,), metadata=metadata)
    )


COUNT = request_of(a2a.Part(data={"text": "one two three"}))
"""What is asked: a typed skill."""
