"""Last: a call takes no longer than it may, and never longer than the request that it is made for has time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agents.llm.errors import TimedOut
from agents.loop.steps import MODELS, ModelStep, Step
from agents.tools.errors import ToolLate
from schemas.agent import Resilience
from schemas.errors import AgentbusError, DeadlineExceeded

_GRACE_S = 10.0
"""For tools that end by themselves, and then still have to tell what they had."""


class TimeoutLayer:
    """Cancels what takes too long: the HTTP request of a model, the work of a tool."""

    def __init__(self, limits: Resilience) -> None:
        self._model_s = limits.request_timeout_s
        self._tool_s = limits.tool_timeout_s

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Layer`.

        Raises:
            DeadlineExceeded: the request's own time was over. TimedOut: the models' was. ToolLate: the tool's was.
        """
        limit_s = self._limit_s(step)
        left_s = step.context.remaining_s(limit_s)
        limit = asyncio.timeout(left_s)
        try:
            async with limit:
                return await proceed()
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._late(step, limit_s, is_out_of_time=left_s < limit_s) from None

    def _limit_s(self, step: Step) -> float:
        if isinstance(step, ModelStep):
            return self._model_s
        row = step.row
        return (row.timeout_s or self._tool_s) + (_GRACE_S if row.ends_itself else 0)

    def _late(self, step: Step, limit_s: float, *, is_out_of_time: bool) -> AgentbusError:
        if is_out_of_time:
            return DeadlineExceeded(f"the time of the request was over while {step.key} was at work")
        if isinstance(step, ModelStep):
            return TimedOut(MODELS, f"no answer within {limit_s:g} s")
        return ToolLate(f"{step.key} did not end within {limit_s:g} s and was stopped; what it had begun may be done")
