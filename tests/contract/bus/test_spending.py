"""Money down a chain of real agents, and its cost back up: on the bus, in tasks, in streams, after a refusal."""

from __future__ import annotations

import asyncio
import datetime
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from agents.changes import Asked
from agents.llm import Budget
from agents.runtime.tasks.continuation import Continuation
from agents.skill import Context, Skill, skill
from bus.requests import spending
from schemas import a2a, names, protojson
from schemas.agent import BudgetLimits
from schemas.errors import Unavailable, error_from_body
from schemas.usage import NOTHING, USAGE_KEY, Chain, Usage
from tests.contract.agents.skills import echo
from tests.harness.agent import caller, reaches, saying, serving
from tests.harness.fleet import Bench

WORK = "a2a.v1.req.textstats.ops.SendMessage"
PAYLOAD = b'{"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "0.01"}]}}'


def spend(ctx: Context, amount: str) -> None:
    """As a call of a model does: reserved before, settled after, taken down."""
    cost = Decimal(amount)
    ctx.budget.reserve(cost).settle(cost)
    spending.used(Usage(input_tokens=3, output_tokens=2, cost_usd=cost, model="m-1"))


def _spender(seen: list[Decimal | None] | None = None) -> Skill:
    """A skill that costs what it is told, and notes what it may spend."""

    @skill(description="Spends what it is told to.", id="spends")
    async def spends(request: str, ctx: Context) -> str:
        if seen is not None:
            seen.append(ctx.budget.left)
        spend(ctx, request)
        return request

    return spends


def _told(metadata: dict[str, Any]) -> Usage:
    usage = Usage.told_in(metadata)
    assert usage is not None
    return usage


def _within(limit: str) -> spending.Account:
    """From here on in this test, what is asked has this much."""
    account = spending.Account(Budget(Decimal(limit)))
    spending.enter(account)
    return account


@pytest.mark.parametrize("amount", ["-1", "1e9", "a", "", "1,0"])
async def test_what_is_no_amount_is_refused(fleet_bench: Bench, amount: str) -> None:
    """An unparseable budget is not left out: too much would be spent. It is the caller's to put right, with 400."""
    async with serving(fleet_bench, "textstats", echo):
        attacker = await fleet_bench.attacker("ops")
        headers = {names.A2A_VERSION: "1.0", names.BUDGET: amount}
        answer = await attacker.client.request(WORK, PAYLOAD, timeout=10, headers=headers)
    error = error_from_body(msgspec.json.decode(answer.data))
    assert (error.code, error.reason) == (400, "INVALID_ARGUMENT")
    assert names.BUDGET in error.message


async def test_without_a_header_the_agents_own_limit_counts(fleet_bench: Bench) -> None:
    """With one, the smaller of both does."""
    seen: list[Decimal | None] = []
    plain = await fleet_bench.attacker("ops")
    for own in (None, BudgetLimits(max_cost_per_task_usd=Decimal(2))):
        async with serving(fleet_bench, "textstats", _spender(seen), limits=own):
            for more in ({}, {names.BUDGET: "0.5"}, {names.BUDGET: "70"}):
                await plain.client.request(WORK, PAYLOAD, timeout=10, headers={names.A2A_VERSION: "1.0", **more})
    assert seen == [None, Decimal("0.5"), Decimal(70), Decimal(2), Decimal("0.5"), Decimal(2)]


async def test_the_cost_comes_back_up(fleet_bench: Bench) -> None:
    """ops asks concierge asks textstats: each answer tells its own cost and, apart from it, that of what it asked."""
    seen: list[Decimal | None] = []

    @skill(description="Spends, and has textstats spend.", id="both")
    async def both(request: str, ctx: Context) -> str:
        spend(ctx, "0.1")
        await ctx.ask("textstats", request)
        spend(ctx, "0.2")
        return str(ctx.budget.left)

    async with serving(fleet_bench, "concierge", both), serving(fleet_bench, "textstats", _spender(seen)):
        ops, account = await caller(fleet_bench), _within("10")
        answer = await ops.send_message("concierge", saying("0.05"))
    assert answer.message is not None
    usage = _told(answer.message.metadata)
    assert usage == Usage(
        input_tokens=6, output_tokens=4, cost_usd=Decimal("0.3"), model="m-1",
        chain=Chain(requests=1, input_tokens=3, output_tokens=2, cost_usd=Decimal("0.05")),
    )  # fmt: skip
    assert Decimal(answer.message.text()) == Decimal("4.65")  # of the 5 that it was given
    assert seen == [Decimal("2.45")]
    assert account.purse.left == Decimal("9.65")


async def test_fan_out_cannot_overspend(fleet_bench: Bench) -> None:
    """Requests at the same time are given parts that together are no more than there is, whatever they would spend."""
    seen: list[Decimal | None] = []
    together = asyncio.Barrier(8)

    @skill(description="Spends all that it has.", id="greedy")
    async def greedy(request: str, ctx: Context) -> str:
        left = ctx.budget.left or NOTHING
        seen.append(left)
        await together.wait()
        spend(ctx, str(left))
        return request

    async with serving(fleet_bench, "textstats", greedy):
        ops, account = await caller(fleet_bench), _within("1")
        await asyncio.gather(*(ops.send_message("textstats", saying("x")) for _ in range(8)))
    assert len(seen) == 8
    assert sum(amount or NOTHING for amount in seen) <= 1
    assert account.usage.chain.cost_usd == sum(amount or NOTHING for amount in seen) == account.purse.spent


async def test_a_refusal_tells_what_it_did_cost(fleet_bench: Bench) -> None:
    """Work that failed after it had spent something says so in its error."""

    @skill(description="Spends and fails.", id="fails")
    async def fails(request: str, ctx: Context) -> str:
        spend(ctx, "0.25")
        raise Unavailable("what it needs is away")

    async with serving(fleet_bench, "textstats", fails):
        ops, account = await caller(fleet_bench), _within("1")
        with pytest.raises(Unavailable, match="away"):
            await ops.send_message("textstats", saying("x"))
    assert account.purse.left == Decimal("0.75")
    assert account.usage.chain == Chain(requests=1, input_tokens=3, output_tokens=2, cost_usd=Decimal("0.25"))


async def test_an_agent_that_is_away_costs_nothing(fleet_bench: Bench) -> None:
    """Nothing was begun."""
    ops, account = await caller(fleet_bench), _within("1")
    with pytest.raises(Unavailable):
        await ops.send_message("greeter", saying("x"))
    assert account.purse.left == 1
    assert account.metadata() == {}


async def test_an_answer_that_did_cost_nothing_says_nothing(fleet_bench: Bench) -> None:
    """The metadata is there where there is something to tell."""
    async with serving(fleet_bench, "textstats", echo):
        ops, account = await caller(fleet_bench), _within("1")
        answer = await ops.send_message("textstats", saying("x"))
    assert answer.message is not None
    assert answer.message.metadata == {}
    assert account.purse.left == 1


async def test_a_stream_carries_it_too(fleet_bench: Bench) -> None:
    """The last update of a task tells its cost, and so does the task."""
    async with serving(fleet_bench, "textstats", _spender()) as agent:
        ops, account = await caller(fleet_bench), _within("1")
        async with aclosing(ops.stream("textstats", "SendStreamingMessage", saying("0.125"))) as frames:
            seen = [frame async for frame in frames]
        task = seen[0].task
        assert task is not None
        stored = await agent.book.get("ops", task.id)
    end = seen[-1].status_update
    assert end is not None
    assert _told(end.metadata) == _told(stored.metadata)
    assert _told(end.metadata).cost_usd == Decimal("0.125")
    assert account.purse.left == Decimal("0.875")


async def test_a_durable_task_carries_it_too(fleet_bench: Bench) -> None:
    """Its budget is stored with it; what it costs is not heard of by who left it, so its share stays taken."""
    seen: list[Decimal | None] = []
    async with serving(fleet_bench, "textstats", _spender(seen)):
        ops, account = await caller(fleet_bench), _within("1")
        with spending.allotted(Decimal("0.4")):
            task = await ops.leave_task("textstats", saying("0.01"))
        ended = await reaches(ops, task, a2a.COMPLETED)
    assert seen == [Decimal("0.4")]
    assert _told(ended.metadata).cost_usd == Decimal("0.01")
    assert account.purse.left == Decimal("0.6")
    assert account.usage.chain.cost_usd is None


async def test_a_task_that_is_put_off_keeps_its_budget(fleet_bench: Bench) -> None:
    """What it may spend waits with it."""
    seen: list[Decimal | None] = []
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    async with serving(fleet_bench, "textstats", _spender(seen)):
        ops = await caller(fleet_bench)
        _within("1")
        with spending.allotted(Decimal("0.4")):
            task = await ops.leave_task("textstats", saying("0.01"), not_before=soon)
        await reaches(ops, task, a2a.COMPLETED)
    assert seen == [Decimal("0.4")]


def test_a_task_that_waits_for_people_keeps_its_budget() -> None:
    """It is taken up again without its caller, with what the caller passed on."""
    task = a2a.Task(id="t", status=a2a.TaskStatus(state=a2a.WORKING))
    kept = Continuation((Asked("p-1"),), "case-7", "ops", "", Decimal("0.25"))
    read = protojson.decode(protojson.encode(kept.on(task)), a2a.Task)
    found = Continuation.of(read)
    assert found is not None
    assert found.call("textstats", "ops").budget == Decimal("0.25")


async def test_a_durable_task_without_an_amount_is_no_task(fleet_bench: Bench) -> None:
    """As with other malformed headers: it is not run, and kept as a dead letter."""
    async with serving(fleet_bench, "textstats", echo) as agent:
        attacker = await fleet_bench.attacker("ops")
        headers = {names.A2A_VERSION: "1.0", names.BUDGET: "lots"}
        answer = await attacker.client.request("a2a.v1.task.textstats.ops", PAYLOAD, timeout=10, headers=headers)
        assert b'"seq"' in answer.data
        after = await (await caller(fleet_bench)).leave_task("textstats", saying("x"))
        await reaches(await caller(fleet_bench), after, a2a.COMPLETED)
        known = await agent.book.heads_of("ops")
    assert [head.id for head in known] == [after]


async def test_a_task_has_one_budget_for_all_its_runs(fleet_bench: Bench) -> None:
    """After a question the next run has what is left of the agent's own limit, and the task tells all of it."""
    seen: list[Decimal | None] = []

    @skill(description="Spends, asks, and spends.", id="asks")
    async def asks(request: str, ctx: Context) -> str:
        seen.append(ctx.budget.left)
        spend(ctx, "0.3")
        return (await ctx.input_required("how much?")).text()

    own = BudgetLimits(max_cost_per_task_usd=Decimal(1))
    async with serving(fleet_bench, "textstats", asks, limits=own):
        ops, account = await caller(fleet_bench), _within("10")
        first = await ops.send_message("textstats", saying("x"))
        assert first.task is not None
        reply = msgspec.structs.replace(saying("more").message, task_id=first.task.id)
        second = await ops.send_message("textstats", a2a.SendMessageRequest(message=reply))
    assert second.task is not None
    assert [_told(task.metadata).cost_usd for task in (first.task, second.task)] == [Decimal("0.3"), Decimal("0.6")]
    assert seen == [Decimal(1), Decimal("0.7")]
    assert account.purse.left == Decimal("9.4")
    assert USAGE_KEY in second.task.metadata
