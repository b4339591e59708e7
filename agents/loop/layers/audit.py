"""First: how a call of a tool ended stands on the trail, also when something around it refused it.

That a tool with effects is about to run is told last, directly before it runs (`agents.loop.core`): what was refused
was never intended. Each call of each model the pool tells; here are those of which none was asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from agents.changes import AuthRequired
from agents.context import InputRequired
from agents.loop.steps import ModelStep, Step, ToolStep
from agents.tools.errors import ToolError
from bus.audit.emit import Audit
from bus.errors import AuditUnavailable
from schemas.errors import A2AError

WAITING = (AuthRequired, InputRequired)
"""No end: the task goes on when people, or its caller, have said what they want."""


class AuditLayer:
    """Tells of ends."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Layer`."""
        try:
            result = await proceed()
        except BaseException as error:
            if not isinstance(error, AuditUnavailable):  # it takes nothing now
                self._ended(step, error)
            raise
        self._ended(step, None)
        return result

    def _ended(self, step: Step, error: BaseException | None) -> None:
        began_s = step.began.at_s
        if began_s is None:
            if not isinstance(error, WAITING):
                self._refused(step, error)
        elif isinstance(step, ToolStep):
            self._finished(step, began_s, error)

    def _finished(self, step: ToolStep, began_s: float, error: BaseException | None) -> None:
        is_done = error is None or isinstance(error, WAITING)  # it has done its part
        self._audit.emit(
            "tool.finished", actor=step.context.agent, action=step.row.name, resource=step.context.caller,
            outcome="success" if is_done else "unknown" if isinstance(error, asyncio.CancelledError) else "failure",
            reason="" if is_done else word_of(error), duration_ms=round((time.perf_counter() - began_s) * 1000, 3),
            trace=step.began.trace, metadata={"cached": 1} if step.began.is_cached else {},
        )  # fmt: skip

    def _refused(self, step: Step, error: BaseException | None) -> None:
        kind, action = ("llm.refused", "ask") if isinstance(step, ModelStep) else ("tool.refused", step.key)
        self._audit.emit(
            kind, actor=step.context.agent, action=action, resource=step.context.caller, outcome="denied",
            reason=word_of(error),
        )  # fmt: skip


def word_of(error: BaseException | None) -> str:
    """Why, for the trail: in no words of a caller or of a model."""
    if isinstance(error, ToolError):
        return error.word
    if isinstance(error, A2AError):
        return error.reason.lower()
    if isinstance(error, asyncio.CancelledError):
        return "canceled"
    return type(error).__name__  # a text may repeat what somebody wrote
