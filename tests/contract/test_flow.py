"""What an agent takes on of one caller, and what it lets wait: refused early, said clearly, never half begun."""

from __future__ import annotations

import asyncio

import pytest

from bus.flow import Rate
from bus.responder import Bounds
from schemas.errors import RateLimited, TaskNotFound, Unavailable
from tests.contract.skills import Gate, echo
from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fleet import Bench

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
        assert refusal.value.metadata == {"retry_after_s": "5"}
        gate.opened.set()
        await first
        await ops.send_message("textstats", saying("c"))
    assert gate.entered == ["a", "c"]
