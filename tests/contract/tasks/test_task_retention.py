"""How long tasks are kept, and what happens when there is no room for more."""

from __future__ import annotations

import pytest
import structlog

from agents.runtime.tasks import push
from bus.connection import Connection
from bus.jetstream import call
from bus.provision.streams import TASKS_MAX_AGE_S
from bus.tasks import retention
from schemas import a2a, names
from schemas.errors import TaskNotFound, Unavailable
from tests.contract.agents.skills import Counting, echo
from tests.contract.tasks.scheduling import soon
from tests.contract.tasks.test_task_operations import _config, background, order
from tests.harness.admin import administrator, stored_count
from tests.harness.agent import Agent, caller, reaches, saying, serving
from tests.harness.fleet import Bench, until

BUCKET = f"KV_{names.TASK_BUCKET}"


async def _kept_s(agent: Agent, task: str) -> int:
    """For how long the server keeps the task, as its record says."""
    entry = await agent.book._bucket.get(f"ops.{task}")
    assert entry is not None
    return int(entry.headers[names.TTL])


def test_a_record_outlives_every_delivery_of_its_message() -> None:
    """Whatever a durable task waits for, its record is there for longer than the streams can give its message again."""
    assert retention.DURABLE_S > TASKS_MAX_AGE_S
    assert retention.OPEN_S > 2 * TASKS_MAX_AGE_S


async def test_each_task_is_kept_as_long_as_its_state_wants(fleet_bench: Bench) -> None:
    """A durable task longer than the stream has its message, one in the background a week, one that is open longest."""
    async with serving(fleet_bench, "textstats", echo, order) as agent:
        ops = await caller(fleet_bench)
        durable = await ops.leave_task("textstats", saying("x"))
        await reaches(ops, durable, a2a.COMPLETED)
        unattended = (await background(ops, "x")).id
        await reaches(ops, unattended, a2a.COMPLETED)
        waiting = (await ops.send_message("textstats", saying("shirt", skill="order"))).task
        assert waiting is not None
        later = await ops.leave_task("textstats", saying("x"), not_before=soon(3600))
        await reaches(ops, later, a2a.SUBMITTED)
        kept = [await _kept_s(agent, task) for task in (durable, unattended, waiting.id, later)]
    assert kept == [retention.DURABLE_S, retention.UNATTENDED_S, retention.OPEN_S, retention.OPEN_S]


async def test_a_task_whose_time_is_over_is_gone(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server drops it, and lists do not count it."""
    monkeypatch.setattr(retention, "UNATTENDED_S", 1)
    async with serving(fleet_bench, "textstats", echo):
        ops = await caller(fleet_bench)
        task = (await background(ops, "x")).id

        async def is_gone() -> bool:
            try:
                await ops.get_task("textstats", task)
            except TaskNotFound:
                return True
            return (await ops.list_tasks("textstats")).total_size == 0

        await until(is_gone)
        assert (await ops.list_tasks("textstats")).total_size == 0
        admin = await administrator(fleet_bench, names.own_account("textstats"))
        assert await stored_count(admin, BUCKET) == 0


async def test_a_deleted_configuration_leaves_nothing(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for it expires too: creating and deleting for ever fills nothing."""
    monkeypatch.setitem(push._DELETED, names.TTL, "1")
    async with serving(fleet_bench, "textstats", echo):
        ops = await caller(fleet_bench)
        task, kind = await background(ops, "x"), a2a.TaskPushNotificationConfig
        for number in range(5):
            config = _config(task, "https://one.example/a", f"c-{number}")
            await ops.call("textstats", "CreateTaskPushNotificationConfig", config, kind, timeout_s=5)
            gone = a2a.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id=config.id)
            await ops.call("textstats", "DeleteTaskPushNotificationConfig", gone, a2a.Empty, timeout_s=5)
        admin = await administrator(fleet_bench, names.own_account("textstats"))

        async def is_empty() -> bool:
            return await stored_count(admin, f"KV_{names.PUSH_BUCKET}") == 0

        await until(is_empty)


async def _limit(admin: Connection, max_bytes: int) -> int:
    config = (await call(admin, f"STREAM.INFO.{BUCKET}"))["config"]
    await call(admin, f"STREAM.UPDATE.{BUCKET}", config | {"max_bytes": max_bytes})
    return int(config["max_bytes"])


async def test_without_room_requests_are_told_so_and_durable_tasks_wait(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task in the background is 503 with what to do, and nothing of it is done; durable tasks are not given up however
    long it takes, and are done once when there is room; the log says both."""
    monkeypatch.setattr("bus.tasks.room._FIRST_S", 0.05)
    counting, ops = Counting(), await caller(fleet_bench)
    admin = await administrator(fleet_bench, names.own_account("textstats"))
    usual = await _limit(admin, 10)
    with structlog.testing.capture_logs() as logged:
        async with serving(fleet_bench, "textstats", counting.skill) as agent:
            with pytest.raises(Unavailable, match="raise storage_mb") as refusal:
                await ops.send_message("textstats", saying("refused", return_immediately=True))
            assert refusal.value.metadata == {"retry_after_s": "5"}
            tasks = [await ops.leave_task("textstats", saying(text)) for text in ("a", "b")]

            async def is_told() -> bool:
                return "task.storage_full" in [line["event"] for line in logged]

            await until(is_told)
            answer = await ops.send_message("textstats", saying("a message needs no room"))
            assert answer.message is not None
            assert set(counting.runs) == {"a message needs no room"}
            await _limit(admin, usual)
            for task in tasks:
                await reaches(ops, task, a2a.COMPLETED)
            assert agent.places.work.running == 0
    assert counting.runs == {"a": 1, "b": 1, "a message needs no room": 1}
    events = [line["event"] for line in logged]
    assert events.count("task.storage_full") == events.count("task.storage_has_room") == 1
