"""How far the conversation of a durable task is, kept in the agent's own bucket while the task is not over.

One value a task, written by compare-and-set: each run takes the value over before it does anything, and a run that
finds that another one has done so since stops before its next effect. So of two processes that both believe to have
the task, only the later one acts.

What is stored is what models wrote and tools found, so it lies beside the task and not in it, where its caller could
read it. It goes with the task's end; what is left of a task that nobody ended expires.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from agents.context import Context
from agents.llm import AssistantTurn, ToolResult, ToolTurn
from agents.loop import NotKept, Pending, Progress
from bus.requests import spending
from bus.sessions import MAX_VALUE_BYTES, Found, SessionStore, work_key
from bus.tasks.states import StaleTask
from schemas.errors import AgentbusError
from schemas.usage import Usage

_log = structlog.get_logger("agent")
VERSION: Final = 1
KEPT_S: Final = 31 * 24 * 3600
_SHORT_CHARS: Final = 500
"""What is left of each result where a conversation is too long to be kept."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored. `run` has it; `first` messages of the task were there when it began, `heard` are in the turns.

    `asked` is how many questions to people have their answer in the turns; `usage` is what all runs did cost.
    """

    run: str
    version: int = VERSION
    progress: Progress = Progress()
    first: int = 0
    heard: int = 0
    asked: int = 0
    usage: Usage = Usage()
    is_at_rest: bool = False
    """The run that wrote it has ended in order: it told what it did cost."""

    @property
    def may_have_asked(self) -> bool:
        """Whether a model may have been asked since, by a run that was cut short: nobody knows what that did cost."""
        last = self.progress.turns[-1] if self.progress.turns else None
        return not self.is_at_rest and (self.progress.asks or not isinstance(last, AssistantTurn))


_UNKNOWN: Final = Usage(input_tokens=None, output_tokens=None, cost_usd=None)
_DECODER = msgspec.json.Decoder(Kept)


class KeptTurns:
    """The journal of one run of a task. `begin` it first; `heard` says how many of its messages were heard by now."""

    def __init__(self, store: SessionStore, context: Context, heard: Callable[[], int]) -> None:
        self._store = store
        self._context = context
        self._key = work_key(context.caller, context.work.task)
        self._heard = heard
        self._kept = Kept(run=os.urandom(8).hex())

    async def begin(self) -> Kept:
        """Take over what earlier runs left.

        Raises:
            NotKept: it cannot be had now; run the task again.
        """
        mine, here = self._kept.run, len(self._context.history)

        earlier: Kept | None = None

        def taken_over(found: Found) -> bytes:
            nonlocal earlier
            earlier = _decoded(found.value)
            base = earlier or Kept(run=mine, first=here, heard=here)
            self._kept = msgspec.structs.replace(base, run=mine, is_at_rest=False)
            return msgspec.json.encode(self._kept)

        await self._change(taken_over)
        if earlier is not None and (account := spending.current()) is not None:
            account.catch_up(earlier.usage)
            if earlier.may_have_asked:
                account.used(_UNKNOWN)
        return self._kept

    async def keep(self, progress: Progress, *, is_waiting: bool = False) -> None:
        """See `Journal`."""
        account = spending.current()
        self._kept = msgspec.structs.replace(
            self._kept,
            progress=progress,
            heard=self._heard(),
            asked=self._context.asking.place - is_waiting,
            usage=account.usage if account else self._kept.usage,
            is_at_rest=is_waiting,
        )
        await self._store_mine()

    async def rest(self) -> None:
        """The run ends here, in order, and another one will go on. Raises as `keep`."""
        self._kept = msgspec.structs.replace(self._kept, is_at_rest=True)
        await self._store_mine()

    async def _store_mine(self) -> None:
        value = encoded(self._kept)

        def replaced(found: Found) -> bytes:
            now = _decoded(found.value)
            if now is None or now.run != self._kept.run:
                raise StaleTask(f"task {self._context.work.task} is worked on elsewhere")
            return value

        await self._change(replaced)

    async def _change(self, change: Callable[[Found], bytes]) -> None:
        try:
            await self._store.change(self._key, change, ttl_s=KEPT_S)
        except (StaleTask, NotKept):
            raise
        except AgentbusError as error:
            raise NotKept(f"how far the task is could not be stored: {error}") from None

    async def forget(self) -> None:
        """The task is over. That it cannot be deleted is logged: it expires."""
        try:
            await self._store.delete(self._key)
        except AgentbusError as error:
            _log.warning("task.turns_left", task=self._context.work.task, reason=str(error))


def without_asking(progress: Progress) -> Progress:
    """As far as calls have ended: those that have neither ended nor begun are as if never asked for.

    For a task that goes on because people have decided: what they decided about stands behind these turns.
    """
    last = progress.turns[-1] if progress.turns else None
    if not isinstance(last, AssistantTurn):
        return progress
    pending = Pending(last.tool_calls, progress.results, progress.begun)
    known = [(call, result) for call in last.tool_calls if (result := pending.known(call)) is not None]
    turns = progress.turns[:-1]
    if known:
        asked = AssistantTurn(text=last.text, tool_calls=tuple(call for call, _ in known))
        turns += (asked, ToolTurn(results=tuple(result for _, result in known)))
    return Progress(turns=turns, rounds=progress.rounds + bool(known), tool_calls=progress.tool_calls)


def encoded(kept: Kept) -> bytes:
    """The value to store; of a conversation that is too long, the beginnings of what tools found.

    Raises:
        NotKept: it is too long all the same.
    """
    value = msgspec.json.encode(kept)
    if len(value) > MAX_VALUE_BYTES:
        value = msgspec.json.encode(msgspec.structs.replace(kept, progress=_shorter(kept.progress)))
    if len(value) > MAX_VALUE_BYTES:
        raise NotKept(f"the conversation of this task is too long to be kept ({len(value)} bytes)")
    return value


def _shorter(progress: Progress) -> Progress:
    turns = tuple(
        msgspec.structs.replace(turn, results=tuple(map(_short, turn.results))) if isinstance(turn, ToolTurn) else turn
        for turn in progress.turns
    )
    results = tuple(_short(result) if result else None for result in progress.results)
    return msgspec.structs.replace(progress, turns=turns, results=results)


def _short(result: ToolResult) -> ToolResult:
    if len(result.text) <= _SHORT_CHARS:
        return result
    text = f"{result.text[:_SHORT_CHARS]}\n[cut: {len(result.text)} characters, the rest was not kept]"
    return msgspec.structs.replace(result, text=text)


def _decoded(value: bytes) -> Kept | None:
    """What is stored; None where there is nothing.

    Raises:
        NotKept: this version cannot read it; another instance may.
    """
    if not value:
        return None
    try:
        kept = _DECODER.decode(value)
    except msgspec.DecodeError as error:
        raise NotKept(f"what an earlier run of this task left cannot be read: {error}") from None
    if kept.version > VERSION:
        raise NotKept(f"a newer agentbus kept the turns of this task, in format {kept.version}: upgrade this instance")
    return kept
