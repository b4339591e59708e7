"""`make bench`: requests through the whole path against raw nats-py, and the cost of an audit event.

Both sides use the same server, keys, headers, uvloop and two processes' worth of work in one loop each:
the baseline answers raw requests of the same size; ours is SendMessage → Message, typed, traced, audited.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from agents.cli.run import log_quietly
from agents.supervisor.child import Child, Command
from agents.supervisor.fleet_processes import commands
from bus.caller import Caller
from schemas import a2a, names
from tests.harness.fleet import CHECKOUT, Bench, bench

_REQUESTS = 10_000
_IN_FLIGHT = 64
_ONE_BY_ONE = 1_000
_EVENTS = 20_000
_HEADERS = {
    names.A2A_VERSION: "1.0",
    names.CONTENT_TYPE: a2a.MEDIA_TYPE,
    names.TRACEPARENT: "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
}


async def _rate(ask: Callable[[], Awaitable[object]], count: int, in_flight: int) -> float:
    """Requests a second with `in_flight` always under way."""

    async def worker(n: int) -> None:
        for _ in range(n):
            await ask()

    await asyncio.gather(*(worker(5) for _ in range(in_flight)))  # warm
    began = time.perf_counter()
    await asyncio.gather(*(worker(count // in_flight) for _ in range(in_flight)))
    return count / (time.perf_counter() - began)


async def _median_us(ask: Callable[[], Awaitable[object]], count: int) -> float:
    took = []
    for _ in range(count):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


async def _measure(title: str, ask: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    rate = await _rate(ask, _REQUESTS, _IN_FLIGHT)
    median = await _median_us(ask, _ONE_BY_ONE)
    print(f"{title:<46} {rate:>9,.0f} requests/s   p50 {median:>7,.0f} µs")
    return rate, median


async def _requests(running: Bench) -> None:
    baseline = await _raw_responder(running)
    attacker = await running.attacker("ops")
    subject = "a2a.v1.req.textstats.ops.SendMessage"
    body = b'{"message":{"messageId":"1","role":"ROLE_USER","parts":[{"data":{"text":"one two three"}}]}}'
    raw = await _measure(
        "raw nats-py, headers, uvloop", lambda: attacker.client.request(subject, body, timeout=10, headers=_HEADERS)
    )
    baseline.kill()
    baseline.wait()
    agent = Child(_command(running), lambda _: None)
    await agent.start()
    caller = Caller(await running.connect("ops"), "ops")
    await caller.start()
    message = a2a.Message(message_id="1", role="ROLE_USER", parts=(a2a.Part(data={"text": "one two three"}),))
    request = a2a.SendMessageRequest(message=message)
    ours = await _measure(
        "SendMessage to Message, typed, traced, audited", lambda: caller.send_message("textstats", request)
    )
    await agent.stop()
    print(f"{'ratio':<46} {ours[0] / raw[0]:>9.2f} of raw        p50 {ours[1] / raw[1]:>7.2f} times raw")


async def _raw_responder(running: Bench) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.responder", running.server.url, str(running.home.root)],
        stdout=subprocess.PIPE, text=True, cwd=CHECKOUT,
    )  # fmt: skip
    running.stack.callback(process.kill)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
    return process


def _command(running: Bench) -> Command:
    """The agent's process exactly as `agentbus up` starts it."""
    stages = commands(running.fleet, running.home, running.server.url)
    return next(command for stage in stages for command in stage if command.name == "agent-textstats")


async def _events(running: Bench) -> None:
    audit = await running.audit("greeter")
    began = time.perf_counter()
    for number in range(_EVENTS):
        audit.emit("request.answered", action="SendMessage", actor="ops", size=number, duration_ms=1.0)
        if number % 500 == 499:
            await asyncio.sleep(0)
    emitted = time.perf_counter()
    await audit.confirm(60)
    stored = time.perf_counter()
    print(f"{'audit: emit':<46} {(emitted - began) / _EVENTS * 1e6:>9.1f} µs/event")
    print(f"{'audit: emitted, signed, stored (synced to disk)':<46} {_EVENTS / (stored - began):>9,.0f} events/s")


async def main() -> None:
    """Run everything on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="agentbus-bench-") as folder:
        async with bench(Path(folder)) as running:
            await _requests(running)
            await _events(running)


if __name__ == "__main__":
    log_quietly()
    uvloop.run(main())
