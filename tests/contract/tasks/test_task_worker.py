"""What a worker's loop stands, whatever happens to its consumer and to the server: rows 8 and 11 of test_connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import structlog.testing

from bus.inbound import Call
from bus.jetstream import call
from bus.requests.caller import Caller
from bus.requests.flow import Bounds, Places
from bus.tasks import worker
from bus.tasks.dead_letters import DeadLetters
from bus.tasks.sources import LeftTasks
from bus.tasks.worker import TaskWorker
from schemas import names
from schemas.errors import DeadlineExceeded, Unavailable, UnknownOutcome
from tests.contract.bus.test_connection import _ours
from tests.harness.admin import administrator
from tests.harness.agent import caller, saying
from tests.harness.fleet import Bench, until

pytestmark = pytest.mark.timeout(110)
AGENT = "textstats"
CONSUMER = f"{names.TASKS}.{AGENT}"


@asynccontextmanager
async def _working(
    bench: Bench, run: Callable[[Call, int, int], Awaitable[None]], max_concurrent: int = 10
) -> AsyncIterator[TaskWorker]:
    """A worker that takes durable tasks, without an agent around it."""
    bus, own = await bench.connect(AGENT), await bench.connect(AGENT, names.OWN_CREDENTIAL)
    audit, dead = await bench.audit(AGENT, own), DeadLetters(AGENT, own, bus)
    worker = TaskWorker((LeftTasks(AGENT, bus),), run, audit, dead, Places(Bounds(max_concurrent=max_concurrent)))
    worker.start()
    yield worker
    assert await worker.drain(5) == 0


async def _leave(ops: Caller, text: str) -> str:
    """The task's id; nothing while the server is away."""
    try:
        return await ops.leave_task(AGENT, saying(text), key=text)
    except (Unavailable, UnknownOutcome):
        return ""


async def test_tasks_are_taken_after_each_of_many_restarts(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker pulls again after each restart of the server, killed or stopped, and runs all that is left for it: in
    the middle of its work, and when it waits for some, for a pull that the server forgot is not waited for."""
    monkeypatch.setattr(worker, "_RETRY_S", 0.05)
    monkeypatch.setattr(worker, "_PULL_WAIT_S", 3600.0)
    ran: set[str] = set()

    async def run(_: Call, sequence: int, __: int) -> None:
        ran.add(f"task-{sequence}")

    leaving: list[asyncio.Task[str]] = []

    async def is_run(task: str) -> bool:
        return task in ran

    admin = await _ours(fleet_bench, await administrator(fleet_bench, names.ACCOUNT_BUS))

    async def is_waiting() -> bool:
        with suppress(Unavailable, DeadlineExceeded):
            return int((await call(admin, f"CONSUMER.INFO.{CONSUMER}"))["num_waiting"]) > 0
        return False

    async with _working(fleet_bench, run):
        ops = await caller(fleet_bench)
        for number in range(21):
            task = await until(partial(_leave, ops, f"after restart {number}"), timeout_s=30)
            await until(partial(is_run, task), timeout_s=30)
            if number == 20:
                break
            if number % 4 < 2:
                load = [asyncio.create_task(_leave(ops, f"load {number} {n}")) for n in range(20)]
                await asyncio.wait(load, return_when=asyncio.FIRST_COMPLETED)
                leaving += load
            else:
                await until(is_waiting, timeout_s=30)
            process = fleet_bench.server.process
            (process.kill if number % 2 else process.terminate)()
            await process.wait()
            await fleet_bench.server.start()
        left = {task for task in await asyncio.gather(*leaving) if task}
        for task in left:
            await until(partial(is_run, task), timeout_s=30)
    assert left


async def test_a_deleted_consumer_is_asked_for_at_intervals(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose consumer is gone tries again after a pause each time, and goes on when it is back."""
    pause_s = 0.2
    monkeypatch.setattr(worker, "_RETRY_S", pause_s)
    ran: asyncio.Queue[int] = asyncio.Queue()

    async def run(_: Call, sequence: int, __: int) -> None:
        ran.put_nowait(sequence)

    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    config = (await call(admin, f"CONSUMER.INFO.{CONSUMER}"))["config"]
    with structlog.testing.capture_logs() as logged:
        async with _working(fleet_bench, run):

            async def has_failed(times: int) -> bool:
                return [line["event"] for line in logged].count("task.pull_failed") >= times

            await call(admin, f"CONSUMER.DELETE.{CONSUMER}")
            await until(partial(has_failed, 1), every_s=0)
            began = time.monotonic()
            await until(partial(has_failed, 4), every_s=0)
            assert time.monotonic() - began > 2.5 * pause_s  # three pauses, the first of which had begun
            await call(admin, f"CONSUMER.DURABLE.CREATE.{CONSUMER}", {"stream_name": names.TASKS, "config": config})
            await (await caller(fleet_bench)).leave_task(AGENT, saying("again"))
            assert await ran.get() == 1


async def test_an_error_that_nobody_expected_is_logged_and_the_task_comes_again(fleet_bench: Bench) -> None:
    """A defect in what runs tasks costs neither its task nor the other ones, and is not silent."""
    ran: asyncio.Queue[int] = asyncio.Queue()

    async def run(_: Call, sequence: int, delivered: int) -> None:
        if delivered == 1 and sequence == 1:
            raise TypeError("a defect")
        ran.put_nowait(sequence)

    ops = await caller(fleet_bench)
    with structlog.testing.capture_logs() as logged:
        async with _working(fleet_bench, run, max_concurrent=1):
            for text in "ab":
                await ops.leave_task(AGENT, saying(text))
            assert [await ran.get(), await ran.get()] == [2, 1]
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["task.not_run"]
