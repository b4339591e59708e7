"""More than an agent takes on, and its end: what was accepted is answered, the rest is told so."""

from __future__ import annotations

import asyncio

import pytest

from bus.requests.flow import Bounds
from schemas import a2a
from schemas.errors import (
    DeadlineExceeded,
    Unavailable,
)
from tests.contract.agents.skills import Gate
from tests.harness.agent import Agent, caller, saying, serving
from tests.harness.fleet import Bench, until


async def _accepted(agent: Agent, count: int) -> None:
    async def are_in() -> bool:
        return len(agent.responder._running) == count

    await until(are_in)


async def test_more_than_an_agent_takes_on_is_refused_as_overloaded(fleet_bench: Bench) -> None:
    """Beyond `max_concurrent` running and `max_queued` waiting, a request is 503 with a time to come back."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill, bounds=Bounds(max_concurrent=1, max_queued=1)) as agent:
        ops = await caller(fleet_bench)
        first, second = (asyncio.create_task(ops.send_message("textstats", saying(text))) for text in "ab")
        await _accepted(agent, 2)
        with pytest.raises(Unavailable) as refusal:
            await ops.send_message("textstats", saying("c"))
        assert refusal.value.metadata == {"retry_after_s": "1", "nothing_begun": "true"}
        assert gate.entered == ["a"]
        gate.opened.set()
        answers = await asyncio.gather(first, second)
        assert [answer.message.text() for answer in answers if answer.message] == ["a", "b"]


async def test_draining_answers_everything_that_was_accepted(fleet_bench: Bench) -> None:
    """After `drain`, each request that had arrived is answered, and a new one finds nobody."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill, bounds=Bounds(max_concurrent=5)) as agent:
        ops = await caller(fleet_bench)
        asked = [asyncio.create_task(ops.send_message("textstats", saying(str(number)))) for number in range(50)]
        await _accepted(agent, 50)
        drained = asyncio.create_task(agent.responder.drain(20))

        async def is_deaf() -> bool:
            try:
                await ops.send_message("textstats", saying("late"), timeout_s=0.5)
            except Unavailable:
                return True
            except DeadlineExceeded:
                pass
            return False

        await until(is_deaf)
        assert not drained.done()
        gate.opened.set()
        answers = await asyncio.gather(*asked)
        assert [answer.message.text() for answer in answers if answer.message] == [str(n) for n in range(50)]
        assert await drained == 0


async def test_what_a_drain_cannot_finish_is_told_so(fleet_bench: Bench) -> None:
    """A request that is still unfinished when draining must end is cancelled, and its caller is told at once."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        ops = await caller(fleet_bench)
        asked = asyncio.create_task(ops.send_message("textstats", saying("a"), timeout_s=3600))
        await gate.has_entered()
        assert await agent.responder.drain(0.1) == 1
        with pytest.raises(Unavailable):
            await asked
        assert gate.cancelled == ["a"]


async def test_a_background_task_that_a_drain_cannot_finish_is_failed(fleet_bench: Bench) -> None:
    """A task that nothing would deliver again does not stay `working` for ever when its agent stops."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        ops = await caller(fleet_bench)
        opened = (await ops.send_message("textstats", saying("a", return_immediately=True))).task
        assert opened is not None
        await gate.has_entered()
        assert await agent.operations.drain(0.1) == 1
        assert (await ops.get_task("textstats", opened.id)).status.state == a2a.FAILED
        assert gate.cancelled == ["a"]


async def test_a_stream_that_began_work_names_its_task_whatever_happens(fleet_bench: Bench) -> None:
    """SendStreamingMessage that arrives while the agent ends: the task is named, so it can be followed, not repeated."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        ops = await caller(fleet_bench)
        agent.responder._draining.set()  # it ends, and its subscription does not know yet
        stream = ops.stream("textstats", "SendStreamingMessage", saying("late"))
        first = await anext(stream)
        agent.responder._draining.clear()  # as its successor, where the stream goes on
        gate.opened.set()
        rest = [response async for response in stream]
    assert first.task is not None
    assert rest[-1].status_update is not None
    assert rest[-1].status_update.status.state == a2a.COMPLETED
    assert gate.entered == ["late"]


async def test_a_task_that_is_begun_just_before_the_end_is_finished(fleet_bench: Bench) -> None:
    """An instance that ends waits for what its last requests began, also when nothing ran when it was told to end."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        ops = await caller(fleet_bench)
        asked = asyncio.create_task(ops.send_message("textstats", saying("last", return_immediately=True)))
        await asyncio.sleep(0)
        await ops._connection.flush()  # the server has it before the agent is told to end
        ending = asyncio.create_task(agent.drain(20))
        answer = await asked
        assert answer.task is not None
        await gate.has_entered()
        gate.opened.set()
        await ending
        record = await agent.book.require_record("ops", answer.task.id)
    assert record.task.status.state == a2a.COMPLETED
