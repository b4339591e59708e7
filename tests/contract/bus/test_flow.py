"""What an agent takes on, of one caller and of all, and what it lets wait: refused early, said clearly, never half begun."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agents.skill import Context, skill
from bus.requests.flow import Bounds, Rate
from schemas import a2a
from schemas.errors import RateLimited, TaskNotFound, Unavailable
from tests.contract.agents.skills import Counting, Gate, echo
from tests.contract.tasks.test_task_operations import answer_of, background, further, listening
from tests.harness.agent import caller, reaches, saying, serving, trail
from tests.harness.fleet import Bench, bench

SLOW = Bounds(rate=Rate(per_s=0.001, burst=3))


async def test_a_caller_beyond_its_rate_is_told_when_to_come_back(fleet_bench: Bench) -> None:
    """The burst passes, the next message is 429 with `retry_after_s`; another caller has a bucket of its own."""
    async with serving(fleet_bench, "textstats", echo, bounds=SLOW):
        ops, greeter = await caller(fleet_bench), await caller(fleet_bench, "concierge")
        for number in range(3):
            await ops.send_message("textstats", saying(str(number)))
        with pytest.raises(RateLimited) as refusal:
            await ops.send_message("textstats", saying("one too many"))
        assert 0 < float(refusal.value.metadata["retry_after_s"]) <= 1000
        await greeter.send_message("textstats", saying("of somebody else"))


async def test_looking_at_tasks_is_free(fleet_bench: Bench) -> None:
    """Reads and cancels are not counted: a caller out of tokens can still see to its tasks."""
    async with serving(fleet_bench, "textstats", echo, bounds=SLOW):
        ops = await caller(fleet_bench)
        for _ in range(3):
            await ops.send_message("textstats", saying("x"))
        for _ in range(10):
            with pytest.raises(TaskNotFound):
                await ops.get_task("textstats", "t-none")
        assert (await ops.list_tasks("textstats")).tasks == ()


async def test_a_flood_of_refusals_does_not_fill_the_trail(fleet_bench: Bench) -> None:
    """Refusals over the rate are told once a second and counted, not one by one: the trail keeps everything for ever."""
    async with serving(fleet_bench, "textstats", echo, bounds=SLOW) as agent:
        ops = await caller(fleet_bench)
        asked = [ops.send_message("textstats", saying("x")) for _ in range(300)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = await trail(fleet_bench, agent, kind="request.refused")
    assert sum(isinstance(answer, RateLimited) for answer in answers) == 297
    assert 1 <= len(refused) < 30


async def test_nobody_waits_for_a_place_for_ever(fleet_bench: Bench) -> None:
    """Who waits longer than `queue_timeout_s` is told 503, and its work is not begun when a place gets free."""
    gate = Gate()
    bounds = Bounds(max_concurrent=1, max_queued=5, queue_timeout_s=0.2)
    async with serving(fleet_bench, "textstats", gate.skill, bounds=bounds):
        ops = await caller(fleet_bench)
        first = asyncio.create_task(ops.send_message("textstats", saying("a")))
        await gate.has_entered(1)
        with pytest.raises(Unavailable) as refusal:
            await ops.send_message("textstats", saying("b"))
        assert refusal.value.metadata == {"retry_after_s": "5", "nothing_begun": "true"}
        gate.opened.set()
        await first
        await ops.send_message("textstats", saying("c"))
    assert gate.entered == ["a", "c"]


NO_QUEUE = Bounds(max_concurrent=2, max_queued=0)


async def test_work_in_the_background_keeps_its_place(fleet_bench: Bench) -> None:
    """A task that was answered before it was done, and a stream's run, hold a place until they end: one more of
    either kind, or a request, is 503, and its work is not begun."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill, bounds=NO_QUEUE) as agent:
        ops = await caller(fleet_bench)
        await background(ops, "a")
        stream = ops.stream("textstats", "SendStreamingMessage", saying("b"))
        await anext(stream)
        await gate.has_entered(2)
        for more in (saying("c"), saying("d", return_immediately=True)):
            with pytest.raises(Unavailable, match="all 2 places are taken"):
                await ops.send_message("textstats", more)
        with pytest.raises(Unavailable, match="all 2 places are taken"):
            await anext(ops.stream("textstats", "SendStreamingMessage", saying("e")))
        assert (await ops.list_tasks("textstats")).total_size == 2
        gate.opened.set()
        assert [frame async for frame in stream]
        await ops.send_message("textstats", saying("f"))
        assert agent.places.work.running == 0
    assert gate.entered == ["a", "b", "f"]


async def test_a_task_can_be_steered_and_canceled_when_all_places_are_taken(fleet_bench: Bench) -> None:
    """What looks at a task, tells it something or ends it never waits behind the work that it is about."""
    async with serving(fleet_bench, "textstats", listening, bounds=Bounds(max_concurrent=1, max_queued=0)):
        ops = await caller(fleet_bench)
        first = await background(ops, "go")
        await reaches(ops, first.id, a2a.WORKING)
        done = (await ops.send_message("textstats", further("stop", first))).task
        assert done is not None
        assert answer_of(done) == "go stop"
        second = await background(ops, "again")
        await reaches(ops, second.id, a2a.WORKING)
        assert (await ops.cancel_task("textstats", second.id)).status.state == a2a.CANCELED


async def test_durable_tasks_leave_room_for_requests(fleet_bench: Bench) -> None:
    """However many tasks wait in the stream, a quarter of the places is for those who wait for an answer."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill, echo, bounds=Bounds(max_concurrent=4)) as agent:
        ops = await caller(fleet_bench)
        tasks = [await ops.leave_task("textstats", saying(str(number), skill="held")) for number in range(6)]
        await gate.has_entered(3)
        answer = await ops.send_message("textstats", saying("now", skill="echo"))
        assert answer.message is not None
        assert gate.entered == ["0", "1", "2"]
        assert agent.places.work.running == 3
        gate.opened.set()
        for task in tasks:
            await reaches(ops, task, a2a.COMPLETED)


async def test_requests_do_not_starve_durable_tasks(fleet_bench: Bench) -> None:
    """While requests always wait for the one place, a durable task gets its turn among them."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill, bounds=Bounds(max_concurrent=1)):
        ops = await caller(fleet_bench)
        is_over = asyncio.Event()

        async def ask() -> None:
            while not is_over.is_set():
                await ops.send_message("textstats", saying("request"))

        asking = [asyncio.create_task(ask()) for _ in range(10)]
        task = await ops.leave_task("textstats", saying("task"))
        await reaches(ops, task, a2a.COMPLETED)
        is_over.set()
        await asyncio.gather(*asking)
    assert counting.runs["task"] == 1


async def test_agents_that_are_full_of_each_others_questions_come_free_again(tmp_path: Path) -> None:
    """Two full agents, each at work that asks the other one: both are told so when the time in the queue is over."""

    def know_each_other(fleet: dict[str, Any]) -> None:
        fleet["agents"]["textstats"]["asks"] = ["greeter"]
        fleet["agents"]["greeter"]["asks"] = ["textstats"]

    both_are_full = asyncio.Barrier(2)

    @skill(description="Asks the agent that it is told to.", id="asks")
    async def asks(request: str, ctx: Context) -> str:
        await both_are_full.wait()
        return await ctx.ask(request, "x", skill="echo")

    full = Bounds(max_concurrent=1, max_queued=5, queue_timeout_s=0.3)
    async with (
        bench(tmp_path, know_each_other) as running,
        serving(running, "textstats", asks, echo, bounds=full),
        serving(running, "greeter", asks, echo, bounds=full),
    ):
        ops = await caller(running)
        ways = {"textstats": "greeter", "greeter": "textstats"}
        asked = [ops.send_message(agent, saying(other, skill="asks")) for agent, other in ways.items()]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert any(isinstance(answer, Unavailable) for answer in answers)
        for agent in ways:
            answer = await ops.send_message(agent, saying("free", skill="echo"))
            assert answer.message is not None
