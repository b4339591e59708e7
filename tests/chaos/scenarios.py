"""The faults of one server, its clients and the network between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nats.aio.client import Client

from bus.connection import Connection
from bus.jetstream import call
from schemas import names, subjects
from schemas.errors import Unavailable
from tests.chaos.fault import ENOUGH_S, Fault, Scenario
from tests.chaos.load import Load, Stuck
from tests.chaos.stage import AGENT, Stage
from tests.harness.admin import administrator
from tests.harness.agent import caller, saying

_ROOM = 20_000
"""Bytes that are left in TASKS when it is made small."""
_LARGE = 200_000
_CUT_OFF = "Slow Consumer"
"""What the server logs."""


async def server_restarts(fault: Fault) -> None:
    """The server is killed, or stopped in order, and started again."""
    for done in range(fault.amount):
        await fault.load.progress(fault.chance.randrange(1, 20))  # soon after the last time, or well at work
        await fault.stage.restart_server(is_killed=fault.chance.random() < 0.5)
        fault.say(done + 1)
    await fault.load.progress()


async def worker_kills(fault: Fault) -> None:
    """A worker is killed, or both are."""
    for done in range(fault.amount):
        await fault.load.progress()
        both = done % 4 == 3
        victims = fault.stage.workers if both else [fault.chance.choice(fault.stage.workers)]
        await asyncio.gather(*map(fault.stage.kill, victims))
        fault.say(done + 1)
    await fault.load.progress()


async def partitions(fault: Fault) -> None:
    """The network between one worker and the server carries nothing, or is cut.

    Long enough for the server to give the worker's tasks to the other one; every third time, longer than a
    worker tries to store what it did.
    """
    proxy = fault.stage.proxy
    for done in range(fault.amount):
        (proxy.stall if done % 2 == 0 else proxy.cut)()
        await asyncio.gather(fault.load.progress(), asyncio.sleep(35 if done % 3 == 2 else 8))
        proxy.heal()
        await fault.load.progress()
        fault.say(done + 1)


async def slow_consumers(fault: Fault) -> None:
    """A client subscribes to all that the caller hears and reads nothing: the server cuts it off, and no other."""
    for _ in range(fault.amount):
        async with _deaf_client(fault.stage) as deaf:
            await _flood(fault.stage, f"cid:{deaf.client_id} ")
        await fault.load.progress()


@asynccontextmanager
async def _deaf_client(stage: Stage) -> AsyncIterator[Client]:
    deaf = await stage.bench.attacker("ops")
    for pattern in (subjects.Reply.pattern(caller="ops"), subjects.TaskEvent.pattern(caller="ops")):
        await deaf.client.subscribe(pattern)
    await deaf.client.flush()
    deaf.client._transport._io_reader._transport.pause_reading()  # type: ignore[union-attr]
    try:
        yield deaf.client
    finally:
        await deaf.client.close()


async def _flood(stage: Stage, deaf: str) -> None:
    """Ask for large answers until the server cuts off the connection that its log calls `deaf`.

    Raises:
        Stuck: it does not, or cuts off another one.
    """
    before = len(_cut_off(stage))
    calls = await caller(stage.bench)
    with suppress(TimeoutError):
        async with asyncio.timeout(ENOUGH_S):
            while len(cut_off := _cut_off(stage)) == before:
                await calls.send_message(AGENT, saying(f"large {_LARGE}"), timeout_s=10)
            if others := [line for line in cut_off[before:] if deaf not in line]:
                raise Stuck(f"the server cut off others too: {others}")
            return
    raise Stuck(f"the server cut nobody off within {ENOUGH_S:g} s")


def _cut_off(stage: Stage) -> list[str]:
    """The lines in which the server says that it cut off a slow consumer."""
    return [line for line in stage.server_log.splitlines() if _CUT_OFF in line]


async def full_streams(fault: Fault) -> None:
    """TASKS has no room left: who leaves a task is told so, and what was acknowledged before is done."""
    admin = await administrator(fault.stage.bench, names.ACCOUNT_BUS)
    for _ in range(fault.amount):
        await fault.load.progress()
        info = await call(admin, f"STREAM.INFO.{names.TASKS}")
        limit, used = info["config"]["max_bytes"], info["state"]["bytes"]
        await _limit(admin, used + _ROOM)
        await _until_refused(fault.load)
        await _limit(admin, limit)
        await fault.load.progress()


async def _limit(admin: Connection, max_bytes: int) -> None:
    info = await call(admin, f"STREAM.INFO.{names.TASKS}")
    await call(admin, f"STREAM.UPDATE.{names.TASKS}", info["config"] | {"max_bytes": max_bytes})


async def _until_refused(load: Load) -> None:
    """Wait until callers were told several times that the stream is full.

    Raises:
        Stuck: nobody was.
    """
    wanted = load.refusals[Unavailable.reason] + 10
    with suppress(TimeoutError):
        async with asyncio.timeout(ENOUGH_S):
            while load.refusals[Unavailable.reason] < wanted:
                await asyncio.sleep(0.02)
            return
    raise Stuck(f"nobody was told within {ENOUGH_S:g} s that the stream is full")


SCENARIOS = (
    Scenario("server restarts", server_restarts, 4, 100),
    Scenario("worker kills", worker_kills, 2, 12),
    Scenario("partitions", partitions, 1, 3),
    Scenario("slow consumer", slow_consumers, 1, 2),
    Scenario("full stream", full_streams, 1, 2),
)
