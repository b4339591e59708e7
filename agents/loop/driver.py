"""Walks a conversation through its table: model → tool calls → results → … → text.

What the model does wrong (a tool that there is not, arguments of a wrong form) is answered to the
model, which can do better in the next round. What a tool refuses with an `AgentbusError` is too: its
text is advice and holds no secrets. Anything else a tool raises ends the conversation, as does
cancelling it, and as does a trail that does not take what a tool is about to do: no other try helps.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from agents.changes import AuthRequired
from agents.context import InputRequired
from agents.llm import (
    Answer,
    AssistantTurn,
    Completion,
    LlmError,
    ToolCall,
    ToolResult,
    ToolTurn,
    TooManyRounds,
    Turn,
)
from agents.memory import Forgetful
from agents.tools.errors import ToolRefused
from bus.errors import AuditUnavailable
from bus.requests import spending
from schemas import usage
from schemas.errors import AgentbusError

from .ahead import Ahead
from .conversation import Conversation, Reply, Stepped, Sums
from .core import cut
from .layers import within
from .overflow import is_overflow
from .steps import ToolStep
from .table import State, Trigger, Walk

_MAX_REFUSAL_CHARS = 20_000


async def converse(conversation: Conversation) -> Reply:
    """Ask until the model answers with text alone.

    At most `bounds.max_iterations` of the model's turns may end in tool calls. Calls of one turn run one after
    the other, in the model's order, or at the same time where their row says so (`at_once`); those over
    `bounds.max_tool_calls` do not run, and the model is told. The whole has no limit of time of its own: cancel it.

    Raises:
        TooManyRounds: the model wanted tools once more than it may. The tools it asked for before have run.
        LlmError: as `Pool.stream`. Tools that had run stay done.
        AuditUnavailable: a tool did not run, or its end is not on the trail.
    """
    return await _Driver(conversation).run()


class _Driver:
    """One conversation that is under way."""

    def __init__(self, conversation: Conversation) -> None:
        self._of = conversation
        self._walk = Walk()
        self._acts: Mapping[State, Callable[[], Awaitable[Trigger]]] = {
            State.START_CONVERSATION: self._start,
            State.SEND_MESSAGE: self._send,
            State.PROCESS_RESPONSE: self._process,
            State.EXECUTE_TOOL: self._execute,
            State.TOOL_RESULT: self._tell_result,
            State.COMPACT_MEMORY: self._compact,
        }
        self._rows = {row.name: row for row in conversation.rows}
        self._specs = tuple(row.tool.spec() for row in conversation.rows)
        self._said: tuple[Turn, ...] = ()
        self._answer = Answer(text="", model="", stop_reason="end")
        self._calls: deque[ToolCall] = deque()
        self._ahead = Ahead(self._result, {row.name: row.at_once for row in conversation.rows if row.at_once > 1})
        self._results: list[ToolResult] = []
        self._refusal: LlmError | None = None
        self._is_compacted = False
        """What was too long was compacted since the last answer: if it still is, a larger model has to answer."""
        self._rounds = self._tool_calls = 0

    async def run(self) -> Reply:
        """From the first state to the last."""
        try:
            while not self._walk.is_over:
                self._step(await self._acts[self._walk.state]())
        except BaseException as error:
            self._end(error)
            raise
        finally:
            await self._ahead.close()
            await self._of.outlet.close()
        return Reply(text=self._answer.text, turns=self._said, rounds=self._rounds, sums=self._sums())

    # -- what is done in each state ---------------------------------------------------------------------

    async def _start(self) -> Trigger:
        self._said = (*await self._of.memory.load(), *self._of.turns)
        last = self._said[-1] if self._said else None
        if isinstance(last, AssistantTurn) and last.tool_calls:
            self._said = self._said[:-1]
            self._answer = Answer(text=last.text, model="", stop_reason="tool_calls", tool_calls=last.tool_calls)
            return Trigger.TAKEN_UP
        return await self._fitted(Trigger.BEGUN)

    async def _send(self) -> Trigger:
        models = self._of.models
        question = Completion(system=self._of.prompt, turns=self._said, tools=self._specs, timeout_s=models.timeout_s)
        try:
            self._answer = await models.ask(question, self._of.outlet, can_compact=self._can_compact)
        except LlmError as error:
            if not is_overflow(error):
                raise
            self._refusal = error
            return Trigger.OVERFLOWED
        self._is_compacted = False
        return Trigger.ANSWERED

    async def _process(self) -> Trigger:
        answer = self._answer
        if not answer.tool_calls:
            if added := self._of.hear():
                # The answer came too early; the next one is to what was asked before as well.
                self._of.outlet.void()
                self._said += added
                return await self._fitted(Trigger.HEARD_MORE)
            self._said += (answer.as_turn(),)
            await self._of.outlet.finish(answer.text)
            await self._of.memory.save(self._said, counted=self._counted)
            return Trigger.FINISHED
        self._said += (answer.as_turn(),)
        most = self._of.bounds.max_iterations
        if self._rounds >= most:
            raise TooManyRounds("llm", f"the model asked for tools in more than {most} turns")
        self._rounds += 1
        self._calls.extend(answer.tool_calls)
        await self._of.outlet.flush()
        self._of.outlet.void()
        return Trigger.TOOLS_WANTED

    async def _execute(self) -> Trigger:
        call = self._calls.popleft()
        self._results.append(await self._ahead.result(call, self._calls))
        return Trigger.RAN

    async def _tell_result(self) -> Trigger:
        if self._calls:
            return Trigger.NEXT_CALL
        self._said += (ToolTurn(results=tuple(self._results)),)
        self._results.clear()
        return await self._fitted(Trigger.ALL_TOLD)

    async def _compact(self) -> Trigger:
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            if not self._can_compact:
                raise refusal
            self._said = await self._of.memory.fit(self._said, counted=self._counted, is_overflow=True)
            self._is_compacted = True
        return Trigger.COMPACTED

    # -- parts of that ----------------------------------------------------------------------------------

    @property
    def _can_compact(self) -> bool:
        """Whether what is too long is first made shorter, and not given to a model with a larger window."""
        return not (self._is_compacted or isinstance(self._of.memory, Forgetful))

    @property
    def _counted(self) -> int | None:
        """The tokens of the last answer and its question, where its provider counted them."""
        counted = self._answer.usage
        if counted.input_tokens is None or counted.output_tokens is None:
            return None
        return counted.input_tokens + counted.output_tokens

    async def _fitted(self, otherwise: Trigger) -> Trigger:
        """Have the memory put away what is too much; `otherwise` when that was nothing."""
        fitted = await self._of.memory.fit(self._said, counted=self._counted)
        is_same, self._said = fitted == self._said, fitted
        return otherwise if is_same else Trigger.TOO_LONG

    async def _result(self, call: ToolCall) -> ToolResult:
        try:
            text, is_error = await self._ran(call), False
        except AuditUnavailable:
            raise
        except AgentbusError as error:
            text, is_error = cut(str(error), _MAX_REFUSAL_CHARS), True
        return ToolResult(call_id=call.id, name=call.name, text=text, is_error=is_error)

    async def _ran(self, call: ToolCall) -> str:
        of = self._of
        most = of.bounds.max_tool_calls
        if most is not None and self._tool_calls >= most:
            raise ToolRefused(f"all {most} calls of tools that this task may make are made: answer with what you have")
        row = self._rows.get(call.name)
        if row is None:
            raise ToolRefused(f"there is no tool {call.name!r}; there are: {', '.join(sorted(self._rows)) or 'none'}")
        arguments = row.tool.arguments(call)
        self._tool_calls += 1
        models = of.models
        step = ToolStep(context=models.context, call=call, row=row, arguments=arguments, guards=models.guards)
        return await within(models.layers, step, lambda: of.run_tool(step))

    # -- what is told of it -----------------------------------------------------------------------------

    def _step(self, trigger: Trigger) -> None:
        transition = self._walk.step(trigger)
        self._of.on_step(Stepped(transition, self._rounds, sums=self._sums() if self._walk.is_over else None))

    def _end(self, error: BaseException) -> None:
        if not self._walk.is_over:
            transition = self._walk.step(_ending(error))
            with contextlib.suppress(AuditUnavailable):  # what ended it says more
                self._of.on_step(Stepped(transition, self._rounds, error, self._sums()))

    def _sums(self) -> Sums:
        account = spending.current()
        own = account.own if account else usage.Usage(cost_usd=None)
        return Sums(
            input_tokens=own.input_tokens, output_tokens=own.output_tokens, cost_usd=own.cost_usd,
            tool_calls=self._tool_calls,
        )  # fmt: skip


def _ending(error: BaseException) -> Trigger:
    if isinstance(error, asyncio.CancelledError):
        return Trigger.CANCELLED
    return Trigger.SUSPENDED if isinstance(error, AuthRequired | InputRequired) else Trigger.FAILED
