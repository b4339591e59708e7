"""The memories of one agent: one for each request or task, and what its tools look into."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

import msgspec

from agents.context import Context
from agents.llm import SystemPrompt, Tool
from bus.audit.emit import Audit
from bus.sessions import SessionStore
from schemas import a2a
from schemas.agent import Llm, Memory
from schemas.ids import rfc3339, sha256_hex

from .passing import PassingMemory
from .stored import SessionMemory
from .summary import Complete, Summariser
from .weights import fixed_tokens
from .window import Compacted, Surroundings

_TRANSCRIPT_PART = 2
"""A summary may read as many characters as half of the window has tokens, so that it fits into any model of the pool."""


@dataclass(frozen=True, slots=True)
class Told:
    """What stands before a conversation, and how models are asked about it: `complete` counts for the task's budget."""

    prompt: SystemPrompt
    tools: Sequence[Tool]
    complete: Complete


class Memories:
    """Made once an agent. Without `settings` nothing is remembered.

    `has_recall`: its model is offered the tool that looks into archives.
    """

    def __init__(
        self, settings: Memory | None, source: Llm, store: SessionStore, audit: Audit, *, has_recall: bool
    ) -> None:
        self._remembers = settings is not None
        self._settings = settings = settings or Memory()
        self._store = store
        self._audit = audit
        self._has_recall = has_recall
        most_chars = settings.context_window_size // _TRANSCRIPT_PART
        self._summariser = Summariser(source, most_chars, source.request_timeout_s)
        self._fixed: dict[int, tuple[SystemPrompt, int]] = {}
        """By `id` of the prompt, of which an agent has one a skill; it is kept so that no other gets its id."""
        self._at_work: WeakValueDictionary[tuple[str, str, str], SessionMemory] = WeakValueDictionary()

    def of(self, context: Context, told: Told) -> SessionMemory | PassingMemory:
        """The memory of the conversation that `context` belongs to. Hold it as long as the request is answered."""
        place = Surroundings(
            settings=self._settings,
            fixed=self._fixed_of(told),
            summariser=self._summariser,
            complete=told.complete,
            stamp=_now,
            on_compacted=lambda what: self._tell(context, what),
            has_recall=self._has_recall,
        )
        if not self._remembers:
            return PassingMemory(place)
        key = _key(context)
        memory = SessionMemory(self._store, place, *key)
        self._at_work[key] = memory
        return memory

    def _fixed_of(self, told: Told) -> int:
        known = self._fixed.get(id(told.prompt))
        if known is None:
            specs = [tool.spec() for tool in told.tools]
            known = self._fixed[id(told.prompt)] = told.prompt, fixed_tokens(told.prompt, specs)
        return known[1]

    def at_work(self, context: Context) -> SessionMemory | None:
        """The memory that `of` gave for the same request; None when there is none."""
        return self._at_work.get(_key(context))

    def _tell(self, context: Context, what: Compacted) -> None:
        self._audit.emit(
            "memory.compacted", actor=context.agent, action="compact", resource=context.caller,
            metadata={
                "put_away": what.put_away, "tokens_before": what.before, "tokens_after": what.after,
                "summary": what.prompt or "none",
            },
        )  # fmt: skip


def _key(context: Context) -> tuple[str, str, str]:
    return context.caller, context.context_id, exchange_of(context)


def exchange_of(context: Context) -> str:
    """What stands for this request: its task, or its message, which a caller that got no answer may repeat as it was."""
    return context.work.task or f"m-{_digest(context.message)[:32]}"


def _digest(message: a2a.Message) -> str:
    return sha256_hex(msgspec.json.encode((message.message_id, message.parts)))


def _now() -> str:
    return rfc3339(time.time_ns())
