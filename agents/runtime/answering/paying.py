"""What the work on one message may spend: the agent's own limit, or what its caller passed on, whichever is less."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agents.llm import Budget
from bus.inbound import Call
from bus.requests import spending
from schemas import usage
from schemas.agent import BudgetLimits

if TYPE_CHECKING:
    from agents.llm import CallReport


def begin(limits: BudgetLimits, call: Call, earlier: usage.Usage | None = None, *, is_same_call: bool = True) -> Budget:
    """The budget of the work on `call`; what is spent in the rest of this task is spent of it.

    `earlier` is what the task's runs before this one told; `is_same_call`: they were for this call, too, so what they
    spent is taken from what the caller passed on, not from the agent's own limit alone.
    """
    own, passed_on = limits.max_cost_per_task_usd, call.budget
    if earlier is not None:
        before = spending.counted(earlier)
        own, passed_on = _less(own, before), _less(passed_on, before) if is_same_call else passed_on
    limit = own if passed_on is None else passed_on if own is None else min(own, passed_on)
    budget = Budget(limit, unknown_price=limits.unknown_price)
    spending.enter(spending.Account(budget, earlier))
    return budget


def note_call(report: CallReport) -> None:
    """Take down one call of a model for the work that is running here."""
    tokens = report.usage.input_tokens, report.usage.output_tokens
    if report.outcome != "success" and report.cost_usd is None and tokens == (0, 0):
        return  # it was refused; that the price is not known makes nothing of it unknown
    spending.used(
        usage.Usage(
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cost_usd=report.cost_usd,
            model=report.model,
        )
    )


def _less(limit: Decimal | None, before: Decimal) -> Decimal | None:
    return None if limit is None else max(limit - before, usage.NOTHING)
