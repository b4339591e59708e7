"""A call that begins a task, repeated under its key, over a real server: one task, at whatever instance."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import IdempotencyKeyReused, InvalidArgument
from tests.contract.agents.skills import Counting, Gate
from tests.harness.agent import caller, saying, serving
from tests.harness.fleet import Bench, until

BEGIN = saying("a", return_immediately=True)


async def _task(calls: Caller, request: a2a.SendMessageRequest = BEGIN) -> a2a.Task:
    task = (await calls.send_message("textstats", request)).task
    assert task is not None
    return task


async def _ended(calls: Caller, task: a2a.Task) -> a2a.Task:
    async def look() -> a2a.Task | None:
        found = await calls.get_task("textstats", task.id)
        return found if found.is_final else None

    found = await until(look)
    assert found is not None
    return found


async def test_repeated_at_two_instances_it_is_one_task(fleet_bench: Bench) -> None:
    """Forty calls at once, by one caller with one key, begin one task, which runs once; later ones find its end."""
    one, other = Counting(), Counting()
    async with (
        serving(fleet_bench, "textstats", one.skill) as first,
        serving(fleet_bench, "textstats", other.skill, slot="1") as second,
    ):
        ops = await caller(fleet_bench)
        keyed = ops.under_key("k-1")
        tasks = await asyncio.gather(*(_task(keyed) for _ in range(40)))
        assert len({task.id for task in tasks}) == 1
        assert min(agent.responder.counts["SendMessage"].num_requests for agent in (first, second)) > 0
        await _ended(ops, tasks[0])
        again = await _task(keyed)
    assert (again.id, again.status.state) == (tasks[0].id, a2a.COMPLETED)
    assert one.runs + other.runs == {"a": 1}
    assert fleet_bench.violations == []


async def test_without_a_key_an_equal_message_is_another_task(fleet_bench: Bench) -> None:
    """The messageId alone makes nothing one."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill):
        ops = await caller(fleet_bench)
        tasks = [
            await _task(ops),
            await _task(ops),
            await _task(ops.under_key("k-1")),
            await _task(ops.under_key("k-2")),
        ]
        for task in tasks:
            await _ended(ops, task)
    assert len({task.id for task in tasks}) == 4
    assert counting.runs == {"a": 4}


async def test_the_same_key_with_another_message_is_refused(fleet_bench: Bench) -> None:
    """Nothing runs for it, and the task of the key goes on; text, context and metadata count, as does the messageId."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill):
        ops = await caller(fleet_bench)
        keyed = ops.under_key("k-1")
        task = await _task(keyed)
        for change in ({"parts": (a2a.Part(text="b"),)}, {"context_id": "c-other"}, {"message_id": "other"}):
            with pytest.raises(IdempotencyKeyReused, match=task.id):
                await _task(keyed, replace(BEGIN, message=replace(BEGIN.message, **change)))
        await _ended(ops, task)
    assert counting.runs == {"a": 1}


async def test_another_callers_key_is_its_own(fleet_bench: Bench) -> None:
    """Two callers with the same key and message have a task each."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill):
        ops, concierge = await caller(fleet_bench), await caller(fleet_bench, "concierge")
        tasks = [await _task(calls.under_key("k-1")) for calls in (ops, concierge)]
        await _ended(ops, tasks[0])
        await _ended(concierge, tasks[1])
    assert tasks[0].id != tasks[1].id
    assert counting.runs == {"a": 2}


async def test_a_stream_under_a_key_is_taken_up(fleet_bench: Bench) -> None:
    """While the task runs a repeated stream begins with it and follows it to its end; then it has the ended task alone."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill):
        ops = await caller(fleet_bench)
        keyed = ops.under_key("k-1")
        task = await _task(keyed)
        await gate.has_entered()
        stream = keyed.stream("textstats", "SendStreamingMessage", BEGIN)
        first = await anext(stream)
        assert first.task is not None
        assert (first.task.id, first.task.status.state) == (task.id, a2a.WORKING)
        gate.opened.set()
        states = [frame.status_update.status.state async for frame in stream if frame.status_update]
        assert states == [a2a.COMPLETED]
        (last,) = [frame async for frame in keyed.stream("textstats", "SendStreamingMessage", BEGIN)]
    assert last.task is not None
    assert last.task.status.state == a2a.COMPLETED
    assert gate.entered == ["a"]


async def test_a_key_that_would_promise_nothing_is_refused(fleet_bench: Bench) -> None:
    """A call that begins no task has no key: a request that is answered by a message, a further message to a task."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill):
        ops = await caller(fleet_bench)
        task = await _task(ops)
        further = replace(BEGIN, message=replace(BEGIN.message, task_id=task.id))
        for request in (saying("b"), further):
            with pytest.raises(InvalidArgument, match="begins a task"):
                await ops.under_key("k").send_message("textstats", request)
        gate.opened.set()
    assert set(gate.entered) <= {"a"}


@pytest.mark.parametrize("key", ["with space", "ä", "x" * 129, "a/b"])
async def test_what_is_no_key_is_refused(fleet_bench: Bench, key: str) -> None:
    """It is said, never cut or ignored."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill):
        ops = await caller(fleet_bench)
        with pytest.raises(InvalidArgument, match="is not 1 to 128"):
            await _task(ops.under_key(key))
    assert counting.runs == {}
