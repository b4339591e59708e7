"""The innermost part of a call: the question to the models; or a tool's intent on the trail, then its effect."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from agents.context import Context
from agents.llm import Answer, Budget, Completion, Finished, Pool, PoolDelta, TextDelta
from agents.tools.errors import ToolError
from bus import trace
from bus.audit.emit import Audit

from .layers import within
from .outlet import Take, Unheard
from .steps import Guard, Layer, ModelStep, ToolStep

_UNHEARD: Final = Unheard()
RunTool = Callable[[ToolStep], Awaitable[str]]
"""Runs a tool; returns what it says, cut to what a model may be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models as one conversation asks them: within all layers, and out of its budget."""

    context: Context
    pool: Pool
    budget: Budget
    layers: tuple[Layer, ...]
    guards: tuple[Guard, ...]

    @property
    def timeout_s(self) -> float:
        """What one model has for an answer: what the file says, or what the request has left.

        Raises:
            DeadlineExceeded: it has nothing left.
        """
        return self.context.remaining_s(self.pool.request_timeout_s)

    async def ask(self, question: Completion, take: Take = _UNHEARD, *, can_compact: bool = False) -> Answer:
        """What the models answer; `take` hears it as it comes. `can_compact`: as `Pool.stream`.

        Raises:
            LlmError: as `Pool.stream`. A2AError, AgentbusError: as the layers.
        """
        step = ModelStep(context=self.context, question=question, guards=self.guards)

        async def asked() -> Answer:
            step.began.at_s = time.perf_counter()
            return await heard(self.pool.stream(question, self.budget, can_compact=can_compact), take)

        return await within(self.layers, step, asked)


async def heard(deltas: AsyncGenerator[PoolDelta], take: Take) -> Answer:
    """The whole answer, each piece told to `take`. Leaving early closes the HTTP request. Raises as `Pool.stream`."""
    answer: Answer | None = None
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, Finished):
                answer = delta.answer
            elif isinstance(delta, TextDelta):
                take.text(delta.text)
            else:
                take.switched(delta)
    assert answer is not None  # noqa: S101  the pool ends with it, or raises
    return answer


def runner(audit: Audit) -> RunTool:
    """Runs tools of which the trail `audit` has the intent, where they have effects."""

    async def run(step: ToolStep) -> str:
        """Run the tool.

        Raises:
            AuditUnavailable: the trail did not take what it is about to do; it has not run.
        """
        here = trace.current() or trace.new_trace()
        context, row = step.context, step.row
        if row.has_effects:
            intent = audit.emit("tool.intended", actor=context.agent, action=row.name, resource=context.caller)
            await audit.confirm()
            here = here.caused_by(intent)
        step.began.at_s, step.began.trace = time.perf_counter(), here
        with trace.entered(here):
            try:
                return cut(await row.run(step.arguments, context), row.max_result_chars)
            except ToolError as error:
                error.found = cut(error.found, row.max_result_chars)
                raise

    return run


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with a word about that it is."""
    return text if len(text) <= limit else f"{text[:limit]}\n[cut: {len(text)} characters, {limit} shown]"
