"""Requests, streams, durable tasks and the memory that they leave behind, beside raw nats-py in the same run."""

from __future__ import annotations

import asyncio
import statistics
import time

from bus.wire import Msg
from schemas import a2a, names, protojson, subjects
from tests.bench.rates import COUNT, Ask, p50_us, rate, request_of
from tests.bench.report import Report
from tests.bench.responder import AGENT as BASELINE
from tests.bench.stage import AGENT, Stage

_HEADERS = {
    names.A2A_VERSION: a2a.PROTOCOL_VERSION,
    names.CONTENT_TYPE: a2a.MEDIA_TYPE,
    names.TRACEPARENT: "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
}
_LEFT_AT_ONCE = 50


async def requests_section(on: Stage, report: Report) -> None:
    """SendMessage to Message, typed, traced and audited; the baseline answers the same bytes."""
    body = protojson.encode(COUNT)
    subject = str(subjects.Request(BASELINE, "ops", "SendMessage"))

    async def raw() -> object:
        return await on.raw.client.request(subject, body, timeout=10, headers=_HEADERS)

    async def ours() -> object:
        return await on.ours.send_message(AGENT, COUNT)

    sizes = report.sizes
    rates: dict[Ask, list[float]] = {raw: [], ours: []}
    medians: dict[Ask, list[float]] = {raw: [], ours: []}
    for ask in (raw, ours):
        await rate(ask, sizes.warm_up)
    for _ in range(sizes.rounds):
        for ask in (raw, ours):
            medians[ask].append(await p50_us(ask, sizes.one_by_one))
            rates[ask].append(await rate(ask, sizes.requests))
    for title, ask in (
        ("raw nats-py, headers, uvloop", raw),
        ("SendMessage to Message, typed, traced, audited", ours),
    ):
        of_many, alone = statistics.median(rates[ask]), statistics.median(medians[ask])
        report.line(title, f"{of_many:>9,.0f} requests/s   p50 {alone:>6,.0f} µs")
    throughput = report.compare("throughput", rates[ours], rates[raw])
    p50 = report.compare("p50", medians[ours], medians[raw])
    report.line("ratio, median of the rounds", f"{throughput:>9.2f} of raw        p50 {p50:>6.2f} times raw")


async def stored_section(on: Stage, report: Report) -> float:
    """The baseline of what is stored: raw publishes into a synced stream, each acknowledged; messages a second."""
    body = protojson.encode(request_of(a2a.Part(text="x")))
    subject = str(subjects.Task(BASELINE, "ops"))
    stored = await rate(lambda: on.raw.client.request(subject, body, timeout=10, headers=_HEADERS), report.sizes.stored)
    report.line("raw nats-py, stored and acknowledged, synced to disk", f"{stored:>9,.0f} messages/s")
    report.keep(stored_per_s=stored)
    return stored


async def streams_section(on: Stage, report: Report, stored: float) -> None:
    """Streams, whose frames are stored as they are sent."""
    sizes = report.sizes
    request = request_of(a2a.Part(text=str(sizes.pieces)), "tell")

    async def one() -> int:
        return len([frame async for frame in on.ours.stream(AGENT, "SendStreamingMessage", request)])

    began = time.perf_counter()
    frames = sum(await asyncio.gather(*(one() for _ in range(sizes.streams))))
    per_s = frames / (time.perf_counter() - began)
    ratio = report.compare("frames", [per_s], [stored])
    report.line(
        f"streams, {sizes.streams} at once, each frame kept", f"{per_s:>9,.0f} frames/s     {ratio:.2f} of stored"
    )


async def durable_section(on: Stage, report: Report, stored: float) -> None:
    """Durable tasks, from their caller to their terminal state."""
    finished, seen = asyncio.Event(), 0

    def on_event(message: Msg) -> None:
        nonlocal seen
        seen += b'"TASK_STATE_COMPLETED"' in message.data
        if seen == count:
            finished.set()

    count = report.sizes.tasks
    connection = await on.bench.connect("ops")
    await connection.subscribe(subjects.TaskEvent.pattern(agent=AGENT, caller="ops"), on_event)
    await connection.flush()
    began = time.perf_counter()
    await rate(lambda: on.ours.leave_task(AGENT, COUNT), count, min(count, _LEFT_AT_ONCE))
    await asyncio.wait_for(finished.wait(), 120)
    per_s = count / (time.perf_counter() - began)
    ratio = report.compare("tasks", [per_s], [stored])
    report.line("durable tasks, published to finished", f"{per_s:>9,.0f} tasks/s      {ratio:.2f} of stored")


async def memory_section(on: Stage, report: Report) -> None:
    """What the worker grows by while it answers; the first of the two halves fills what is kept on purpose."""
    many, before = report.sizes.many, on.resident_mib
    await rate(lambda: on.ours.send_message(AGENT, COUNT), many)
    halfway = on.resident_mib
    await rate(lambda: on.ours.send_message(AGENT, COUNT), many)
    end = on.resident_mib
    report.keep(worker_mib=end, growth_mib=end - halfway)
    report.line(
        f"memory of the worker: now, {many:,} requests on, as many again",
        f"{before:>9.1f} MiB, {halfway:.1f} MiB, {end:.1f} MiB",
    )
