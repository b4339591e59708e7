"""What a handler remembers in one request or task, in the same bucket and form as what agents with a model remember."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from agents.context import Context
from agents.llm import AssistantTurn, Turn, UserTurn
from agents.remembering import Note, Said
from bus.sessions import Found, SessionStore, session_key
from schemas.agent import Memory
from schemas.ids import rfc3339

from .bounds import bounded
from .memories import exchange_of
from .note_tool import NoteBook
from .recall import best_matches
from .session import Kept, Session, decode, encode
from .stored import require_keepable

_NEWEST_KEPT = 1
"""A conversation is made smaller until it can be stored; so many messages stay, cut in their middle."""


def memory_of(settings: Memory, store: SessionStore) -> Callable[[Context], HandlerMemory]:
    """Makes the memory of each request to one agent."""
    return lambda context: HandlerMemory(settings, store, context)


class HandlerMemory:
    """See `agents.remembering.Remembering`."""

    def __init__(self, settings: Memory, store: SessionStore, context: Context) -> None:
        self._context = context
        self._ttl_s = settings.session_ttl_s
        self._notes = NoteBook(store, settings.notes)
        self._store = store
        self._key = session_key(context.caller, context.context_id)
        self._exchange = exchange_of(context)
        self._said: tuple[Kept, ...] = ()

    async def put(self, name: str, text: str) -> None:
        """See `Remembering.put`."""
        await self._notes.write(name, text, self._context)

    async def get(self, name: str) -> Note | None:
        """See `Remembering.get`."""
        return (await self.list()).get(name)

    async def list(self) -> Mapping[str, Note]:
        """See `Remembering.list`."""
        return (await self._notes.of(self._context.caller)).notes

    async def forget(self, name: str) -> bool:
        """See `Remembering.forget`."""
        return await self._notes.delete(name, self._context)

    async def recall(self, words: str = "", *, limit: int = 50) -> tuple[Said, ...]:
        """See `Remembering.recall`."""
        session = self._session((await self._store.get(self._key)).value)
        earlier = (*self._others(session.archived), *self._others(session.turns), *self._said)
        said = [one for kept in earlier if (one := _said_in(kept)) is not None]
        if not words.split():
            return tuple(said[-limit:] if limit > 0 else ())
        return tuple(said[number] for number in best_matches([one.text for one in said], words)[: max(0, limit)])

    async def append(self, *said: Said) -> None:
        """See `Remembering.append`."""
        require_keepable(self._context.context_id)
        now = rfc3339(time.time_ns())
        self._said += tuple(Kept(turn=_turn_of(one), exchange=self._exchange, at=now) for one in said)
        await self._store.change(self._key, self._joined, ttl_s=self._ttl_s)

    def _joined(self, found: Found) -> bytes:
        session = self._session(found.value)
        changed = msgspec.structs.replace(
            session, written_at=rfc3339(time.time_ns()), turns=(*self._others(session.turns), *self._said),
            archived=self._others(session.archived), used_tokens=0,
        )  # fmt: skip
        return encode(bounded(changed, _NEWEST_KEPT))

    def _session(self, value: bytes) -> Session:
        if value:
            return decode(value)
        now = rfc3339(time.time_ns())
        of = self._context
        return Session(caller=of.caller, context_id=of.context_id, began_at=now, written_at=now)

    def _others(self, kept: tuple[Kept, ...]) -> tuple[Kept, ...]:
        return tuple(one for one in kept if one.exchange != self._exchange)


def _turn_of(said: Said) -> Turn:
    return AssistantTurn(text=said.text) if said.by == "agent" else UserTurn(text=said.text)


def _said_in(kept: Kept) -> Said | None:
    """None for what tools said to a model, when the agent had one."""
    match kept.turn:
        case AssistantTurn(text=text):
            return Said("agent", text, kept.at)
        case UserTurn(text=text):
            return Said("caller", text, kept.at)
        case _:
            return None
