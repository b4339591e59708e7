"""The circuit breaker of a caller, over a real server."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from bus.requests.breaker import BreakerRules
from schemas.errors import Internal, Unavailable
from tests.contract.agents.skills import echo, failing
from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fleet import Bench, until

QUICK = BreakerRules(failures=3, successes=2, open_s=0.3)


async def test_an_agent_that_fails_again_and_again_is_left_alone(fleet_bench: Bench) -> None:
    """After five internal errors nothing more is sent, by no operation; the refusal names the agent and a time."""
    async with serving(fleet_bench, "textstats", failing) as agent:
        ops = await caller(fleet_bench, breaking=BreakerRules())
        for _ in range(5):
            with pytest.raises(Internal):
                await ops.send_message("textstats", saying("x"))
        for ask in (ops.send_message("textstats", saying("x")), ops.get_task("textstats", "t-1")):
            with pytest.raises(Unavailable, match="textstats failed 5 times") as refusal:
                await ask
            assert 0 < float(refusal.value.metadata["retry_after_s"]) <= 60
        with pytest.raises(Unavailable, match="nothing was sent"):
            await anext(ops.stream("textstats", "SendStreamingMessage", saying("x")))
        received = await trail(fleet_bench, agent, kind="request.received")
    assert len(received) == 5


async def test_an_agent_that_is_back_is_asked_again(fleet_bench: Bench) -> None:
    """Open while nobody serves it; once it answers twice the breaker closes. Each change is on the caller's trail."""
    async with serving(fleet_bench, "concierge", takes_requests=False) as asking:
        calls = asking.calls
        calls.breakers._rules = QUICK
        for _ in range(3):
            with pytest.raises(Unavailable, match="nobody serves"):
                await calls.send_message("textstats", saying("x"))
        assert calls.breakers.state("textstats") == "open"
        async with serving(fleet_bench, "textstats", echo):

            async def is_closed() -> bool:
                try:
                    await calls.send_message("textstats", saying("x"))
                except Unavailable:
                    return False
                return calls.breakers.state("textstats") == "closed"

            await until(is_closed)
        events = await trail(fleet_bench, asking)
    changes = [(event.short_type, event.data.resource) for event in events if event.short_type.startswith("breaker.")]
    assert changes == [(f"breaker.{verb}", "textstats") for verb in ("opened", "half_opened", "closed")]


async def test_a_stream_counts_by_its_beginning(fleet_bench: Bench) -> None:
    """A stream that cannot begin is a failure, one that began is an answer; a task left for a dead agent is neither."""
    ops = await caller(fleet_bench, breaking=BreakerRules(failures=2))
    with pytest.raises(Unavailable):
        await anext(ops.stream("textstats", "SendStreamingMessage", saying("x")))
    async with (
        serving(fleet_bench, "textstats", echo),
        aclosing(ops.stream("textstats", "SendStreamingMessage", saying("x"))) as stream,
    ):
        await anext(stream)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await anext(ops.stream("textstats", "SendStreamingMessage", saying("x")))
    assert ops.breakers.state("textstats") == "open"
    assert await ops.leave_task("textstats", saying("later"))
