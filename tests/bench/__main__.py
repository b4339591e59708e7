"""`make bench`: the whole path against raw nats-py, and what streams, durable tasks, memory and the trail cost.

Baseline and product take turns in one run, on one server with the same keys, headers and uvloop, each with a
caller and a process that answers; the figures are medians of the rounds. Ours is SendMessage → Message, typed,
traced and audited; the baseline answers the same bytes. Nothing is decided by a time.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import uvloop

from agents.cli.run import log_quietly
from bus.wire import Msg
from schemas import a2a, names, protojson, subjects
from tests.bench.approvals import approvals_section
from tests.bench.audit import audit_section
from tests.bench.line import line
from tests.bench.responder import AGENT as BASELINE
from tests.bench.singles import singles_section
from tests.bench.stage import AGENT, Stage, stage

_ROUNDS = 7
_REQUESTS = 6_400
_IN_FLIGHT = 64
_ONE_BY_ONE = 1_000
_STREAMS, _PIECES = 16, 200
_TASKS = 2_000
_MANY = 100_000
_HEADERS = {
    names.A2A_VERSION: a2a.PROTOCOL_VERSION,
    names.CONTENT_TYPE: a2a.MEDIA_TYPE,
    names.TRACEPARENT: "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
}
Ask = Callable[[], Awaitable[object]]


class Figures(NamedTuple):
    """The median time of a request alone, then requests a second with many in flight."""

    p50_us: float
    rate: float


async def _rate(ask: Ask, count: int, in_flight: int = _IN_FLIGHT) -> float:
    """How many a second, with `in_flight` always under way."""

    async def worker() -> None:
        for _ in range(count // in_flight):
            await ask()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return count / (time.perf_counter() - began)


async def _p50_us(ask: Ask) -> float:
    took = []
    for _ in range(_ONE_BY_ONE):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def _request(**part: object) -> a2a.SendMessageRequest:
    message = a2a.Message(message_id="1", role="ROLE_USER", parts=(a2a.Part(**part),))  # type: ignore[arg-type]
    return a2a.SendMessageRequest(message=message)


async def _requests(on: Stage) -> None:
    request = _request(data={"text": "one two three"})
    body = protojson.encode(request)
    subject = str(subjects.Request(BASELINE, "ops", "SendMessage"))
    ways: tuple[Ask, Ask] = (
        lambda: on.raw.client.request(subject, body, timeout=10, headers=_HEADERS),
        lambda: on.ours.send_message(AGENT, request),
    )
    for ask in ways:
        await _rate(ask, 2_048)
    rounds = [[Figures(await _p50_us(ask), await _rate(ask, _REQUESTS)) for ask in ways] for _ in range(_ROUNDS)]
    titles = ("raw nats-py, headers, uvloop", "SendMessage to Message, typed, traced, audited")
    for title, figures in zip(titles, zip(*rounds, strict=True), strict=True):
        rate = statistics.median(one.rate for one in figures)
        p50_us = statistics.median(one.p50_us for one in figures)
        line(title, f"{rate:>9,.0f} requests/s   p50 {p50_us:>6,.0f} µs")
    rate = statistics.median(ours.rate / raw.rate for raw, ours in rounds)
    p50 = statistics.median(ours.p50_us / raw.p50_us for raw, ours in rounds)
    line("ratio, median of the rounds", f"{rate:>9.2f} of raw        p50 {p50:>6.2f} times raw")


async def _stored(on: Stage) -> float:
    """The baseline of what is stored: raw publishes into a synced stream, each acknowledged."""
    body = protojson.encode(_request(text="x"))
    subject = str(subjects.Task(BASELINE, "ops"))
    rate = await _rate(lambda: on.raw.client.request(subject, body, timeout=10, headers=_HEADERS), 6_400)
    line("raw nats-py, stored and acknowledged, synced to disk", f"{rate:>9,.0f} messages/s")
    return rate


async def _streams(on: Stage, stored: float) -> None:
    request = _request(text=str(_PIECES))
    request = a2a.SendMessageRequest(
        message=a2a.Message(message_id="1", role="ROLE_USER", parts=request.message.parts, metadata={"skill": "tell"})
    )

    async def one() -> int:
        return len([frame async for frame in on.ours.stream(AGENT, "SendStreamingMessage", request)])

    began = time.perf_counter()
    frames = sum(await asyncio.gather(*(one() for _ in range(_STREAMS))))
    rate = frames / (time.perf_counter() - began)
    line(f"streams, {_STREAMS} at once, each frame kept", f"{rate:>9,.0f} frames/s     {rate / stored:.2f} of stored")


async def _durable(on: Stage, stored: float) -> None:
    request = _request(data={"text": "one two three"})
    finished, seen = asyncio.Event(), 0

    def on_event(message: Msg) -> None:
        nonlocal seen
        seen += b'"TASK_STATE_COMPLETED"' in message.data
        if seen == _TASKS:
            finished.set()

    connection = await on.bench.connect("ops")
    await connection.subscribe(subjects.TaskEvent.pattern(agent=AGENT, caller="ops"), on_event)
    await connection.flush()
    began = time.perf_counter()
    await _rate(lambda: on.ours.leave_task(AGENT, request), _TASKS, 50)
    await asyncio.wait_for(finished.wait(), 120)
    rate = _TASKS / (time.perf_counter() - began)
    line("durable tasks, published to finished", f"{rate:>9,.0f} tasks/s      {rate / stored:.2f} of stored")


async def _memory(on: Stage) -> None:
    request = _request(data={"text": "one two three"})
    before = on.resident_mib
    await _rate(lambda: on.ours.send_message(AGENT, request), _MANY)
    halfway = on.resident_mib
    await _rate(lambda: on.ours.send_message(AGENT, request), _MANY)
    line(
        f"memory of the worker: now, {_MANY:,} requests on, as many again",
        f"{before:>9.1f} MiB, {halfway:.1f} MiB, {on.resident_mib:.1f} MiB",
    )


async def main(*, is_singles: bool) -> None:
    """Run everything on a server of its own; or only what takes an auditor longest."""
    async with stage() as on:
        if is_singles:
            await singles_section(on)
            return
        line("memory of an idle worker", f"{on.resident_mib:>9.1f} MiB")
        await _requests(on)
        stored = await _stored(on)
        await _streams(on, stored)
        await _durable(on, stored)
        await _memory(on)
        await audit_section(on, stored)
    await approvals_section()


if __name__ == "__main__":
    log_quietly()
    uvloop.run(main(is_singles="--singles" in sys.argv[1:]))
