"""The budget of a task: what it refuses, what it never passes, what it does not know."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm import Budget, BudgetExhausted
from agents.llm.budget import NOTHING
from schemas.agent import AgentFile
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument

CENTS = st.integers(0, 300).map(lambda cents: Decimal(cents) / 100)
FILE = "agent: {id: a, description: d}\nllm: {system_prompt: p, pool: [{provider: offline}]}\nbudget: "


@given(CENTS, st.lists(st.tuples(CENTS, st.none() | st.integers(0, 100), st.booleans()), max_size=30))
def test_spent_never_passes_the_limit(limit: Decimal, calls: list[tuple[Decimal, int | None, bool]]) -> None:
    """Whatever is reserved and in whatever order it is settled, each cost within its estimate keeps the limit."""
    budget = Budget(limit)
    open_calls = []
    for estimate, percent, is_settled_now in calls:
        left = budget.left
        assert left is not None
        try:
            reservation = budget.reserve(estimate)
        except BudgetExhausted:
            assert estimate > left
            continue
        actual = None if percent is None else estimate * percent / 100
        if is_settled_now:
            reservation.settle(actual)
        else:
            open_calls.append((reservation, actual))
        assert budget.spent <= limit
    for reservation, actual in open_calls:
        reservation.settle(actual)
    assert budget.left == limit - budget.spent >= 0


@pytest.mark.parametrize(("actual", "spent", "cost"), [(None, "0.5", None), (Decimal("0.2"), "0.2", Decimal("0.2"))])
def test_unknown_cost_is_unknown(actual: Decimal | None, spent: str, cost: Decimal | None) -> None:
    """A call of unknown cost keeps what was reserved for it, and the whole cost is unknown, not less."""
    budget = Budget(Decimal(1))
    reservation = budget.reserve(Decimal("0.5"))
    reservation.settle(actual)
    reservation.settle(Decimal(9))  # a second time changes nothing
    assert (budget.spent, budget.cost) == (Decimal(spent), cost)


def test_unknown_price_is_refused_under_a_limit_alone() -> None:
    """Under a limit, a model of unknown price is refused, unless it is allowed; without one it is not."""
    with pytest.raises(BudgetExhausted, match=r"openai/m: its price is not known.*unknown_price: allow") as caught:
        Budget(Decimal(1)).reserve(None, "openai/m")
    assert caught.value.cause == "budget"
    for budget in (Budget(), Budget(Decimal(1), unknown_price="allow")):
        budget.reserve(None).settle(None)
        assert (budget.spent, budget.cost) == (NOTHING, None)


def test_message_says_what_is_left() -> None:
    """The refusal names both sums; a call that was not made costs nothing."""
    budget = Budget(Decimal("0.10"))
    first = budget.reserve(Decimal("0.06"))
    with pytest.raises(BudgetExhausted, match=r"can cost 0\.05 USD, 0\.04 are left.*max_cost_per_task_usd"):
        budget.reserve(Decimal("0.05"))
    first.release()
    assert (budget.left, budget.cost) == (Decimal("0.10"), NOTHING)


@pytest.mark.parametrize("amount", [Decimal(-1), Decimal("NaN")])
def test_what_is_no_amount_is_refused(amount: Decimal) -> None:
    """Neither a negative sum nor NaN gets into the sums."""
    with pytest.raises(ValueError, match="0 or more"):
        Budget(amount)
    with pytest.raises(ValueError, match="0 or more"):
        Budget(Decimal(1)).reserve(amount)


async def test_tasks_at_the_same_time_share_one_limit() -> None:
    """Fifty tasks that reserve, wait and settle never have spent more than the limit together."""
    budget = Budget(Decimal("0.25"))

    async def one() -> bool:
        try:
            reservation = budget.reserve(Decimal("0.01"))
        except BudgetExhausted:
            return False
        await asyncio.sleep(0)
        reservation.settle(Decimal("0.01"))
        return True

    done = await asyncio.gather(*(one() for _ in range(50)))
    assert (sum(done), budget.spent, budget.left) == (25, Decimal("0.25"), NOTHING)


def test_file_has_exact_amounts() -> None:
    """An amount is read as it is written, not as the nearest binary fraction."""
    limits = parse_yaml(f"{FILE}{{max_cost_per_task_usd: 0.1}}", AgentFile, "agent.yaml").budget
    assert limits.max_cost_per_task_usd == Decimal("0.1")
    assert (limits.max_iterations, limits.max_tool_calls, limits.unknown_price) == (10, None, "refuse")


@pytest.mark.parametrize("text", ["{max_cost_per_task_usd: 0}", "{max_cost_per_task_usd: .inf}", "{max_iterations: 0}"])
def test_file_without_a_sensible_limit_is_refused(text: str) -> None:
    """A limit is more than 0 and finite."""
    with pytest.raises(InvalidDocument, match="budget"):
        parse_yaml(FILE + text, AgentFile, "agent.yaml")
