"""Several agents asked at once, by real agents on a real bus."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from agents.llm import Budget
from agents.routing.errors import NobodyAnswered
from agents.skill import Ask, AskedBack, Context, skill
from bus.requests import spending
from schemas.errors import InvalidArgument, Unavailable
from tests.contract.agents.skills import Gate, echo
from tests.harness.agent import caller, saying, serving
from tests.harness.fleet import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")


@skill(description="Asks which size.")
async def order(request: str, ctx: Context) -> str:
    return (await ctx.input_required("Which size?")).text()


@skill(description="Notes what it may spend.", id="purse")
async def purse(request: str, ctx: Context) -> str:
    return str(ctx.budget.left)


async def _asked(bench: Bench, asks: list[Ask], *, at_once: int = 8, budget: Decimal | None = None) -> list[Any]:
    """What a skill of concierge's gets from `gather`."""
    found: list[Any] = []

    @skill(description="Asks several.", id="several")
    async def several(request: str, ctx: Context) -> str:
        found.extend(await ctx.gather(asks, at_once=at_once))
        return "done"

    async with serving(bench, "concierge", several), serving(bench, "textstats", echo, order, purse):
        if budget is not None:
            spending.enter(spending.Account(Budget(budget)))
        with spending.allotted(fraction=spending.ALL):
            await (await caller(bench)).send_message("concierge", saying("go"))
    return found


async def test_failures_are_values_in_their_place(shared_bench: Bench) -> None:
    """An answer, one that asks back, one that nobody gives, one that is refused: each where it was asked."""
    asks = [
        Ask("textstats", "one"),
        Ask("textstats", "shirt", skill="order"),
        Ask("greeter", "hello"),
        Ask("textstats", "x", skill="no-such-skill"),
        Ask("textstats", "two"),
    ]
    one, back, nobody, refused, two = await _asked(shared_bench, asks)
    assert (one, two) == ("one", "two")
    assert isinstance(back, AskedBack)
    assert back.question == "Which size?"
    assert isinstance(nobody, Unavailable)
    assert isinstance(refused, InvalidArgument)


async def test_the_budget_is_split_before_the_first_is_sent(shared_bench: Bench) -> None:
    """Who names an amount gets it; the others share the rest equally."""
    asks = [Ask("textstats", "x", skill="purse", budget_usd=amount) for amount in (None, Decimal("0.4"), None)]
    found = await _asked(shared_bench, asks, budget=Decimal(1))
    assert [Decimal(text) for text in found] == [Decimal("0.3"), Decimal("0.4"), Decimal("0.3")]


async def test_no_more_are_asked_at_a_time_than_may_be(shared_bench: Bench) -> None:
    """The bound holds, and the rest follow."""
    gate = Gate()
    asks = [Ask("textstats", str(number), skill="held") for number in range(5)]
    found: list[Any] = []

    @skill(description="Asks several.", id="several")
    async def several(request: str, ctx: Context) -> str:
        found.extend(await ctx.gather(asks, at_once=2))
        return "done"

    async with serving(shared_bench, "concierge", several), serving(shared_bench, "textstats", gate.skill):
        asking = asyncio.create_task((await caller(shared_bench)).send_message("concierge", saying("go")))
        await gate.has_entered(2)
        assert gate.entered == ["0", "1"]
        gate.opened.set()
        await asking
    assert found == ["0", "1", "2", "3", "4"]


async def test_the_first_answer_is_taken(shared_bench: Bench) -> None:
    """Nobody waits for the slower ones; where all fail, the reasons are told by agent."""
    gate, found = Gate(), []

    @skill(description="Asks any.", id="any")
    async def any_of(request: str, ctx: Context) -> str:
        asks = [Ask("greeter", "x"), Ask("textstats", "slow", skill="held"), Ask("textstats", "quick", skill="echo")]
        first = await ctx.ask_any(asks)
        found.append(first.agent)
        with pytest.raises(NobodyAnswered, match="greeter: nobody serves") as nobody:
            await ctx.ask_any([Ask("greeter", "x"), Ask("greeter", "y")])
        assert list(nobody.value.failures) == ["greeter"]
        return str(first.answer)

    async with serving(shared_bench, "concierge", any_of), serving(shared_bench, "textstats", gate.skill, echo):
        answer = await (await caller(shared_bench)).send_message("concierge", saying("go"))
        gate.opened.set()
    assert answer.message is not None
    assert answer.message.text() == "quick"
    assert found == ["textstats"]
