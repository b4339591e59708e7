"""The calls of tools that a model's turn asks for, from the first to the last result.

What the model does wrong (a tool that there is not, arguments of a wrong form) is its result, as is what a tool refuses
with an `AgentbusError`: its text is advice and holds no secrets. Anything else that a tool raises ends the conversation.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from agents.changes import AuthRequired
from agents.context import InputRequired
from agents.llm import ToolCall, ToolResult, ToolTurn
from agents.tools.errors import ToolError, ToolRefused
from schemas.errors import AgentbusError

from .ahead import Ahead
from .conversation import Conversation
from .core import cut
from .errors import ENDS
from .layers import judging, within
from .pending import Pending
from .reflection import NO_PURPOSE, Purpose
from .steps import ToolStep

_MAX_REFUSAL_CHARS = 20_000


class Calls:
    """Those of one turn after the other. `keep` writes down how far they are; True: the last one waits for somebody."""

    def __init__(self, conversation: Conversation, keep: Callable[[bool], Awaitable[None]]) -> None:
        self._of = conversation
        self._keep = keep
        self._rows = {row.name: row for row in conversation.rows}
        self._ahead = Ahead(self._result, {row.name: row.at_once for row in conversation.rows if row.at_once > 1})
        self.pending = Pending()
        self._purpose = NO_PURPOSE
        self.made = conversation.begun.tool_calls

    def take(
        self,
        calls: Sequence[ToolCall],
        results: Sequence[ToolResult | None] = (),
        begun: Sequence[int] = (),
        *,
        purpose: Purpose = NO_PURPOSE,
    ) -> None:
        """The calls of a new turn, or of one that an earlier run left, with what is known of them and what they are for."""
        self.pending, self._purpose = Pending(calls, results, begun), purpose

    @property
    def asks(self) -> bool:
        """Whether a model is asked about the result of one of these calls."""
        wanted = {name for name, row in self._rows.items() if row.reflects}
        return self._of.reflection is not None and any(name in wanted for name in self.pending.names)

    @property
    def is_left(self) -> bool:
        """Whether one has still to run."""
        return bool(self.pending.waiting)

    async def run_next(self) -> None:
        """Run the next one, unless it has run, and those behind it that may run at the same time."""
        call = self.pending.waiting.popleft()
        await self._ahead.result(call, self.pending.waiting)

    def told(self) -> ToolTurn:
        """The results of all of them; the turn is over."""
        turn = ToolTurn(results=self.pending.whole())
        self.pending = Pending()
        return turn

    async def close(self) -> None:
        """Stop what still runs."""
        await self._ahead.close()

    async def _result(self, call: ToolCall) -> ToolResult:
        pending = self.pending
        known = pending.known(call)
        if known is not None:
            return known
        step: ToolStep | None = None
        try:
            step = self._step(call)
            text, is_error = await self._made(step), False
        except ENDS:
            raise
        except (AuthRequired, InputRequired):
            pending.take_back(call)
            await self._keep(True)
            raise
        except AgentbusError as error:
            text, is_error = _told_of(error), True
        result = ToolResult(call_id=call.id, name=call.name, text=text, is_error=is_error)
        if pending.end(call, result):
            await self._keep(False)
        if step is not None and not is_error and step.row.reflects and not step.began.is_cached:
            result = await self._reflected(step, result)  # first it is kept: a look at it may not cost the result
            pending.end(call, result)
        return result

    async def _reflected(self, step: ToolStep, result: ToolResult) -> ToolResult:
        of = self._of
        if of.reflection is None:
            return result
        text = await of.reflection.beside(of.models, of.prompt, step, self._purpose, result.text)
        return msgspec.structs.replace(result, text=text)

    def _step(self, call: ToolCall) -> ToolStep:
        """The call as it is to be made. Raises AgentbusError: it cannot be, for the model."""
        most = self._of.bounds.max_tool_calls
        if most is not None and self.made >= most:
            raise ToolRefused(f"all {most} calls of tools that this task may make are made: answer with what you have")
        row = self._rows.get(call.name)
        if row is None:
            raise ToolRefused(f"there is no tool {call.name!r}; there are: {', '.join(sorted(self._rows)) or 'none'}")
        arguments = row.tool.arguments(call)
        self.made += 1
        models = self._of.models
        return ToolStep(context=models.context, call=call, row=row, arguments=arguments, guards=models.guards)

    async def _made(self, step: ToolStep) -> str:
        models = self._of.models
        found = self._of.cache.found(step)
        if found is not None:
            return await within(judging(models.layers), step, lambda: _again(step, found))
        return await within(models.layers, step, lambda: self._run(step))

    async def _run(self, step: ToolStep) -> str:
        if step.row.has_effects:
            self.pending.begin(step.call)
            await self._keep(False)
        cache = self._of.cache
        asked = cache.asked()
        try:
            text = await self._of.run_tool(step)
        finally:
            if step.row.has_effects:
                cache.forget(step.context)
        cache.keep(step, text, asked)
        return text


async def _again(step: ToolStep, found: str) -> str:
    """What the tool said the last time."""
    step.began.at_s, step.began.is_cached = time.perf_counter(), True
    return found


def _told_of(error: AgentbusError) -> str:
    """The advice, and what was found all the same, which has been cut and fenced where it was found."""
    found = error.found if isinstance(error, ToolError) else ""
    return "\n".join(filter(None, (cut(str(error), _MAX_REFUSAL_CHARS), found)))
