"""Fifth: a tool that fails again and again is left alone for a while; the model is told, and does something else.

Models have breakers of their own in the pool, by account and model, which know what a failure was. One around the
pool would keep healthy models from being asked, so a question to the models goes through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from agents.loop.steps import ModelStep, Step, ToolStep
from agents.tools.errors import ToolError
from bus.audit.emit import Audit
from bus.requests.breaker import BreakerRules, Breakers, State
from schemas.agent import Breaker
from schemas.errors import AgentbusError

from .audit import WAITING, word_of

_EVENTS: dict[State, str] = {
    "closed": "breaker.closed", "open": "breaker.opened", "half-open": "breaker.half_opened"
}  # fmt: skip


class _NoLink:
    """There is no connection whose failures could be taken for the tool's."""

    is_connected = True
    reconnects = 0


class BreakerLayer:
    """A breaker for each tool of the agent; of a tool that stands on several servers, for each of these."""

    def __init__(self, rules: Breaker, audit: Audit) -> None:
        self._audit = audit
        self._breakers = Breakers(BreakerRules(**rules.model_dump()), _NoLink(), self._tell)

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Layer`.

        Raises:
            Unavailable: the tool's breaker is open.
        """
        if isinstance(step, ModelStep):
            return await proceed()
        with self._breakers.attempt(_stands_on(step)) as attempt:
            try:
                return await proceed()
            except BaseException as error:
                if is_failure(error):
                    attempt.failed(word_of(error))
                elif not isinstance(error, asyncio.CancelledError):
                    attempt.answered()
                raise

    def _tell(self, key: str, state: State, reason: str) -> None:
        tool, _, _ = key.partition(_AT)  # a server's name may be what a model wrote, so the trail has the tool alone
        self._audit.emit(_EVENTS[state], action="tool", resource=tool, reason=reason)


_AT: Final = " at "


def _stands_on(step: ToolStep) -> str:
    """What fails as one: the tool, or the tool at one of its servers."""
    place = step.row.place_of(step.arguments) if step.row.place_of else ""
    return f"{step.key}{_AT}{place}" if place else step.key


def is_failure(error: BaseException) -> bool:
    """Whether the tool itself does not work: it took too long, says that what it stands on is away, or has a defect.

    That it refused, or found nothing, or that another agent is away says nothing of the tool.
    """
    if isinstance(error, WAITING):
        return False
    if isinstance(error, AgentbusError):
        return isinstance(error, ToolError) and error.is_outage
    return isinstance(error, Exception)
