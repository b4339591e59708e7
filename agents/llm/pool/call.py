"""One call of one model: reserved before, streamed, settled and told after, however it ends."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agents.llm.budget import Budget, Reservation
from agents.llm.conversation import Completion, Usage
from agents.llm.deltas import Delta, Finished
from agents.llm.errors import BudgetExhausted, LlmError

from .member import Member
from .report import CallReport, OnCall, Outcome


async def ask(member: Member, completion: Completion, budget: Budget | None, on_call: OnCall) -> AsyncGenerator[Delta]:
    """The answer as it comes. A call that the budget refuses is not made and not told.

    Raises:
        LlmError: as `Provider.stream`; `BudgetExhausted` before it.
        PoolUnusable: the provider could not be opened.
    """
    provider = await member.provider()
    account = _Account(member, await _reserved(member, completion, budget), on_call)
    try:
        async with aclosing(provider.stream(completion)) as deltas:
            async for delta in deltas:
                if isinstance(delta, Finished):
                    account.close("success", "", delta.answer.usage)
                yield delta
    except LlmError as error:
        account.close("failure", error.cause, error.usage)
        raise
    finally:
        # whatever else ends it: nobody knows what the provider has done and billed by now
        account.close("unknown", "cancelled", Usage())


async def _reserved(member: Member, completion: Completion, budget: Budget | None) -> Reservation | None:
    """What the call can cost at most, taken from the budget. Where the estimate is too much, the exact count decides."""
    if budget is None:
        return None
    try:
        return budget.reserve(member.estimate(completion), member.where)
    except BudgetExhausted:
        counted = await member.count(completion)
        if counted is None:
            raise
        return budget.reserve(member.estimate(completion, counted), member.where)


class _Account:
    """What a call took from its budget, and the one report of it."""

    def __init__(self, member: Member, reservation: Reservation | None, on_call: OnCall) -> None:
        self._member = member
        self._reservation = reservation
        self._on_call = on_call
        self._started = time.perf_counter()
        self._is_open = True

    def close(self, outcome: Outcome, reason: str, usage: Usage) -> None:
        """Settle and tell; a second time changes nothing."""
        if not self._is_open:
            return
        self._is_open = False
        cost = self._member.cost(usage)
        if self._reservation is not None:
            self._reservation.settle(cost)
        self._on_call(
            CallReport(
                provider=self._member.choice.provider,
                model=self._member.choice.model,
                outcome=outcome,
                duration_ms=(time.perf_counter() - self._started) * 1000,
                reason=reason,
                usage=usage,
                cost_usd=cost,
            )
        )
