"""Durable tasks with a time before which they are not begun, over a real server: what callers can do and see."""

from __future__ import annotations

import datetime
import json
import time

import msgspec
import pytest

from agents.skill import Context, skill
from bus.tasks.not_before import MAX_AHEAD_S
from schemas import a2a, names, protojson, subjects
from schemas.errors import InvalidArgument, TaskNotCancelable, UnsupportedOperation
from schemas.ids import rfc3339, task_id
from tests.contract.agents.skills import Counting, Gate
from tests.contract.tasks.scheduling import NEVER_S, SUBJECT, VERSION, WAITS_S, letters, ms, said, soon
from tests.harness.admin import administrator, stored_count
from tests.harness.agent import caller, reaches, saying, serving, trail
from tests.harness.fleet import Bench, until


async def test_a_task_waits_for_its_time(fleet_bench: Bench) -> None:
    """Until it is due the task is SUBMITTED and says when that is; then it is done, and the trail has it put off once."""
    begun: list[float] = []

    @skill(description="Notes when it begins.", id="noting")
    async def noting(request: str, ctx: Context) -> str:
        begun.append(time.time())
        return request

    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", noting) as agent:
        due = soon(WAITS_S)
        task = await ops.leave_task("textstats", saying("later"), not_before=due)
        waiting = await reaches(ops, task, a2a.SUBMITTED)
        assert waiting.metadata == {"notBefore": rfc3339(int(due.timestamp() * 1000) * 1_000_000)}
        assert [found.id for found in (await ops.list_tasks("textstats")).tasks] == [task]
        now = await ops.leave_task("textstats", saying("now"))
        await reaches(ops, now, a2a.COMPLETED)
        found = await reaches(ops, task, a2a.COMPLETED)
        assert found.metadata == waiting.metadata
        scheduled = await trail(fleet_bench, agent, kind="task.scheduled")
        assert await trail(fleet_bench, agent, kind="task.redelivered") == []
        changes = [
            event.data.action
            for event in await trail(fleet_bench, agent, kind="task.changed")
            if event.data.resource.endswith(task)
        ]
    assert [part.text for part in found.artifacts[0].parts] == ["later"]
    assert begun[1] >= due.timestamp()
    assert [(event.data.resource, event.data.actor) for event in scheduled] == [(f"textstats/{task}", "ops")]
    assert changes == ["submitted", "working", "completed"]
    assert fleet_bench.violations == []


async def test_a_time_that_has_passed_changes_nothing(fleet_bench: Bench) -> None:
    """A task that became due while its agent was down is done at once, without being put off."""
    ops, counting = await caller(fleet_bench), Counting()
    task = await ops.leave_task("textstats", saying("overdue"), not_before=soon(-60))
    async with serving(fleet_bench, "textstats", counting.skill) as agent:
        await reaches(ops, task, a2a.COMPLETED)
        assert await trail(fleet_bench, agent, kind="task.scheduled") == []


DAY_S = 86_400
"""The tables below are made when the tests are collected, which may be many minutes before one runs."""
REFUSED_BEFORE = {
    "no time zone": (datetime.datetime(2100, 1, 1), None, "time zone"),  # noqa: DTZ001  what is refused
    "too far away": (soon(MAX_AHEAD_S + DAY_S), None, "30 days"),
    "done before it is begun": (soon(DAY_S), 300.0, "within_s"),
}


async def test_a_caller_is_told_at_once(fleet_bench: Bench) -> None:
    """What could never be done is refused before anything is stored."""
    ops = await caller(fleet_bench)
    for moment, within_s, why in REFUSED_BEFORE.values():
        with pytest.raises(InvalidArgument, match=why):
            await ops.leave_task("textstats", saying("a"), not_before=moment, within_s=within_s)
    assert await ops.leave_task("textstats", saying("a")) == task_id(1)


REFUSED_BY_THE_AGENT = {
    "too far away": ({"Agentbus-Not-Before": ms(MAX_AHEAD_S + DAY_S)}, "30 days"),
    "in another century": ({"Agentbus-Not-Before": "9" * 15}, "30 days"),
    "done before it is begun": (
        {"agentbus-not-before": ms(2 * DAY_S), "Agentbus-Deadline": ms(DAY_S)}, "could never be done"
    ),
}  # fmt: skip


async def test_an_agent_refuses_what_a_plain_client_left(fleet_bench: Bench) -> None:
    """The same rules hold for whoever does not use the library: REJECTED with the reason, and kept as a dead letter."""
    plain, ops = await fleet_bench.attacker("ops"), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", Counting().skill):
        for number, (headers, why) in enumerate(REFUSED_BY_THE_AGENT.values(), 1):
            await plain.client.request(SUBJECT, protojson.encode(saying("a")), timeout=5, headers=VERSION | headers)
            found = await reaches(ops, task_id(number), a2a.REJECTED)
            *_, dead = await letters(await fleet_bench.connect("ops"), number)
            assert why in said(found)
            assert why in dead.letter.reason


UNREADABLE_TIMES = ("soon", "2026-01-01T00:00:00Z", "-1", "", "1e12", "9" * 16)


async def test_a_time_that_cannot_be_read_is_not_taken_for_none(fleet_bench: Bench) -> None:
    """A task with a malformed time is not run too early: its message is kept as a dead letter that says what is wrong."""
    plain, counting = await fleet_bench.attacker("ops"), Counting()
    payload = protojson.encode(saying("a"))
    async with serving(fleet_bench, "textstats", counting.skill):
        for number, value in enumerate(UNREADABLE_TIMES, 1):
            headers = VERSION | {"Agentbus-Not-Before": value}
            await plain.client.request(SUBJECT, payload, timeout=5, headers=headers)
            *_, dead = await letters(await fleet_bench.connect("ops"), number)
            assert (dead.payload, "Agentbus-Not-Before" in dead.letter.reason) == (payload, True), value
    assert counting.runs == {}


async def test_a_task_that_waits_is_canceled_at_once(fleet_bench: Bench) -> None:
    """CancelTask ends a task that was put off: it is never run, and its place is free; one that was done stays done."""
    ops, counting = await caller(fleet_bench), Counting()
    admin = await administrator(fleet_bench, names.own_account("textstats"))
    async with serving(fleet_bench, "textstats", counting.skill) as agent:
        task = await ops.leave_task("textstats", saying("never"), not_before=soon(NEVER_S))
        other = await ops.leave_task("textstats", saying("done"), not_before=soon(1))
        await reaches(ops, task, a2a.SUBMITTED)
        canceled = [await ops.cancel_task("textstats", task) for _ in range(2)]
        assert {found.status.state for found in canceled} == {a2a.CANCELED}
        await reaches(ops, other, a2a.COMPLETED)
        with pytest.raises(TaskNotCancelable):
            await ops.cancel_task("textstats", other)

        async def is_free() -> bool:
            return await stored_count(admin, names.TASK_LATER) == 0

        await until(is_free)
        assert [event.data.action for event in await trail(fleet_bench, agent, kind="task.found")] == ["canceled"]
    assert counting.runs == {"done": 1}


async def test_a_task_that_waits_takes_no_message(fleet_bench: Bench) -> None:
    """A further message to a task that nobody has begun is refused with when that will be."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", Counting().skill):
        task = await ops.leave_task("textstats", saying("waits"), not_before=soon(NEVER_S))
        waiting = await reaches(ops, task, a2a.SUBMITTED)
        request = saying("more")
        further = msgspec.structs.replace(request, message=msgspec.structs.replace(request.message, task_id=task))
        with pytest.raises(UnsupportedOperation, match=str(waiting.metadata["notBefore"])):
            await ops.send_message("textstats", further)


async def test_schedules_are_for_the_agent_in_its_own_account_alone(fleet_bench: Bench) -> None:
    """TASKS takes no schedule of a caller, and an agent's schedule reaches nothing but the tasks that are due there."""
    ops = await fleet_bench.attacker("ops")
    payload, victim = protojson.encode(saying("forged")), str(subjects.Task("textstats", "concierge"))
    schedule = {"Nats-Schedule": f"@at {rfc3339(time.time_ns())}", "Nats-Schedule-Target": victim}
    answer = await ops.client.request(SUBJECT, payload, timeout=5, headers=VERSION | schedule)
    assert "schedule" in json.loads(answer.data)["error"]["description"]
    own = await fleet_bench.attacker("textstats", names.OWN_CREDENTIAL)
    for target in (victim, f"$KV.{names.TASK_BUCKET}.ops.task-1", "audit.agent.textstats.0.task"):
        schedule["Nats-Schedule-Target"] = target
        answer = await own.client.request("task.later.ops.task-1", payload, timeout=5, headers=VERSION | schedule)
        assert "schedule" in json.loads(answer.data)["error"]["description"]
    await own.refused(lambda: own.client.publish("task.due.ops.task-1", payload))


async def test_what_came_with_a_task_is_there_when_it_is_due(fleet_bench: Bench) -> None:
    """Deadline, extensions, trace and chain of a task that was put off are those that its caller sent."""
    plain, gate, ops = await fleet_bench.attacker("ops"), Gate(), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        headers = VERSION | {
            "Agentbus-Not-Before": ms(WAITS_S), "Agentbus-Deadline": ms(WAITS_S + 5), "Agentbus-Correlation": "nightly",
            "Nats-Schedule-Ttl": "1s", "Agentbus-Chain": "greeter",
        }  # fmt: skip
        await plain.client.request(SUBJECT, protojson.encode(saying("a")), timeout=5, headers=headers)
        found = await reaches(ops, task_id(1), a2a.FAILED)
        received = await trail(fleet_bench, agent, kind="task.received")
    assert "ran out of time" in said(found)
    assert gate.cancelled == ["a"]
    assert [event.correlationid for event in received] == ["nightly"] * 2
