"""Who answers on the bus, and how much each has done: every agent is a micro service.

Not guaranteed: that an answer is true. It says nothing about who sent it, so it is for people to look at.

Source: ADR-32 (`$SRV.STATS`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from bus.connection import Connection, Msg
from schemas.errors import UNREADABLE

_SUBJECT = "$SRV.STATS"
_MOST_ANSWERS = 10_000


@dataclass(frozen=True, slots=True)
class Answered:
    """One instance of an agent, with what it has done since it began."""

    agent: str
    instance: str
    version: str
    requests: int
    errors: int


class _Endpoint(msgspec.Struct, frozen=True):
    num_requests: int = 0
    num_errors: int = 0


class _Stats(msgspec.Struct, frozen=True):
    name: str
    id: str
    version: str = ""
    endpoints: tuple[_Endpoint, ...] = ()


async def who_answers(connection: Connection, expected: Collection[str], within_s: float = 1.0) -> Sequence[Answered]:
    """Every instance that answers; returns as soon as each of the `expected` agents has, for as many as they say.

    `expected` holds an agent once for each instance of it.
    """
    found: dict[str, Answered] = {}
    lacking = list(expected)
    is_complete = asyncio.Event()

    def on_answer(message: Msg) -> None:
        try:
            answer = msgspec.json.decode(message.data, type=_Stats)
        except UNREADABLE:
            return
        if answer.id in found or len(found) >= _MOST_ANSWERS:
            return
        found[answer.id] = _answered(answer)
        if answer.name in lacking:
            lacking.remove(answer.name)
        if not lacking:
            is_complete.set()

    inbox = f"{connection.profile.inbox_prefix}.{connection.unique()}"
    subscription = await connection.subscribe(inbox, on_answer)
    await connection.publish(_SUBJECT, reply=inbox)
    try:
        async with asyncio.timeout(within_s):
            await is_complete.wait()
    except TimeoutError:
        pass  # who has not answered by now is silent, which is what was asked
    finally:
        await connection.forget(subscription)
    return sorted(found.values(), key=lambda each: (each.agent, each.instance))


def _answered(stats: _Stats) -> Answered:
    points = stats.endpoints
    return Answered(
        stats.name, stats.id, stats.version,
        requests=sum(point.num_requests for point in points),
        errors=sum(point.num_errors for point in points),
    )  # fmt: skip
