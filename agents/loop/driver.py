"""Walks a conversation through its table: model → tool calls → results → … → text.

What a model does wrong is told to the model (`calls`), which can do better in the next round. What a tool raises
beside refusals ends the conversation, as does cancelling it, and as does a trail, or a journal, that does not take what
a tool is about to do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from agents.changes import AuthRequired
from agents.context import InputRequired
from agents.llm import (
    Answer,
    AssistantTurn,
    Completion,
    LlmError,
    TooManyRounds,
    Turn,
    UserTurn,
)
from agents.memory import Forgetful
from bus.errors import AuditUnavailable
from bus.requests import spending
from schemas import usage

from .calls import Calls
from .conversation import Conversation, Reply, Stepped, Sums
from .journal import Progress
from .overflow import is_overflow
from .reflection import Purpose
from .table import State, Trigger, Walk


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
        self._specs = tuple(row.tool.spec() for row in conversation.rows)
        self._said: tuple[Turn, ...] = ()
        self._added: tuple[Turn, ...] = ()
        """Of what was said: what came after the turns that the conversation began with."""
        self._answer = Answer(text="", model="", stop_reason="end")
        self._calls = Calls(conversation, self._keep)
        self._keeping = asyncio.Lock()
        self._has_answered = False
        """Whether a model has answered in this run."""
        self._refusal: LlmError | None = None
        self._is_compacted = False
        """What was too long was compacted since the last answer: if it still is, a larger model has to answer."""
        self._rounds = conversation.begun.rounds

    async def run(self) -> Reply:
        """From the first state to the last."""
        try:
            while not self._walk.is_over:
                self._step(await self._acts[self._walk.state]())
        except BaseException as error:
            self._end(error)
            raise
        finally:
            await self._calls.close()
            await self._of.outlet.close()
        return Reply(text=self._answer.text, turns=self._said, rounds=self._rounds, sums=self._sums())

    # -- what is done in each state ---------------------------------------------------------------------

    async def _start(self) -> Trigger:
        begun = self._of.begun
        self._said = (*await self._of.memory.load(), *self._of.turns, *begun.turns)
        self._added = begun.turns
        last = self._added[-1] if self._added else None
        if not isinstance(last, AssistantTurn):
            return await self._fitted(Trigger.BEGUN)
        self._said, self._added = self._said[:-1], self._added[:-1]
        self._answer = Answer(text=last.text, model="", stop_reason="tool_calls", tool_calls=last.tool_calls)
        return Trigger.TAKEN_UP

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
        self._has_answered = True
        return Trigger.ANSWERED

    async def _process(self) -> Trigger:
        answer, of = self._answer, self._of
        if not answer.tool_calls and (added := of.hear()):
            # The answer came too early; the next one is to what was asked before as well.
            of.outlet.void()
            self._add(*added)
            return await self._fitted(Trigger.HEARD_MORE)
        self._add(answer.as_turn())
        if not answer.tool_calls:
            await self._keep()
            await of.outlet.finish(answer.text)
            await of.memory.save(self._said, counted=self._counted)
            return Trigger.FINISHED
        if self._rounds >= of.bounds.max_iterations:
            most = of.bounds.max_iterations
            raise TooManyRounds("llm", f"the model asked for tools in more than {most} turns")
        self._take_calls(answer)
        self._rounds += 1
        await self._keep()
        await of.outlet.flush()
        of.outlet.void()
        return Trigger.TOOLS_WANTED

    async def _execute(self) -> Trigger:
        await self._calls.run_next()
        return Trigger.RAN

    async def _tell_result(self) -> Trigger:
        if self._calls.is_left:
            return Trigger.NEXT_CALL
        self._add(self._calls.told())
        await self._keep()
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

    def _add(self, *turns: Turn) -> None:
        self._said += turns
        self._added += turns

    def _take_calls(self, answer: Answer) -> None:
        """Those of the first turn of a run were asked for by an earlier one, unless a model has answered in this one."""
        begun = self._of.begun
        asked = next((turn.text for turn in reversed(self._said) if isinstance(turn, UserTurn)), "")
        known = () if self._has_answered else (begun.results, begun.begun)
        self._calls.take(answer.tool_calls, *known, purpose=Purpose(asked, answer.text))

    async def _keep(self, is_waiting: bool = False) -> None:  # noqa: FBT001, FBT002  as `Calls` calls it
        """Write down how far it is. Two at a time would overtake each other."""
        async with self._keeping:
            pending = self._calls.pending
            progress = Progress(
                turns=self._added,
                results=pending.results,
                begun=pending.begun,
                rounds=self._rounds - bool(pending.results),
                tool_calls=self._calls.made,
                asks=self._calls.asks,
            )
            await self._of.journal.keep(progress, is_waiting=is_waiting)

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
            tool_calls=self._calls.made,
        )  # fmt: skip


def _ending(error: BaseException) -> Trigger:
    if isinstance(error, asyncio.CancelledError):
        return Trigger.CANCELLED
    return Trigger.SUSPENDED if isinstance(error, AuthRequired | InputRequired) else Trigger.FAILED
