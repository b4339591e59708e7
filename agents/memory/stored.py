"""The memory of one conversation of one caller, kept in the agent's bucket between requests.

Two requests of one conversation at once: both begin with what was stored before, and the one that ends second adds
its exchange after that of the first. None is lost, and none waits for the other.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from agents.llm import Turn
from bus.requests import spending
from bus.sessions import Found, SessionStore, session_key
from schemas import names
from schemas.a2a import JsonObject
from schemas.errors import AgentbusError, FieldViolation, InvalidArgument

from .bounds import bounded
from .session import Kept, Session, decode, encode
from .window import ConversationWindow, Surroundings

_log = structlog.get_logger("agent")
MOST_CONTEXT_CHARS: Final = 512
_NOTHING: Final = Found(b"", 0)


class SessionMemory:
    """See `Memory`. `exchange` is the task or message that is answered: one that is repeated is remembered once."""

    def __init__(self, store: SessionStore, place: Surroundings, caller: str, context_id: str, exchange: str) -> None:
        self._store = store
        self._place = place
        self._exchange = exchange
        self._key = session_key(caller, context_id)
        now = place.stamp()
        self._session = Session(caller=caller, context_id=context_id, began_at=now, written_at=now)
        self._found = _NOTHING
        self.window = ConversationWindow(place, self._session, exchange)

    @property
    def metadata(self) -> JsonObject:
        """See `Memory`."""
        return {"context_used": self.window.used, "context_window": self._place.settings.context_window_size}

    async def load(self) -> tuple[Turn, ...]:
        """See `Memory`.

        Raises:
            InvalidArgument: its `contextId` is too long to be kept with it.
            Unavailable: the server stayed away, or a newer agentbus wrote the conversation.
            Internal: it cannot be read.
        """
        require_keepable(self._session.context_id)
        self._found = await self._store.get(self._key)
        if self._found.value:
            self._session = decode(self._found.value)
        self.window = ConversationWindow(self._place, self._session, self._exchange)
        return self.window.told

    async def fit(
        self, turns: tuple[Turn, ...], *, counted: int | None = None, is_overflow: bool = False
    ) -> tuple[Turn, ...]:
        """See `Memory`."""
        self.window.hear(turns, counted)
        return self.window.told if await self.window.compact(is_overflow=is_overflow) else turns

    async def save(self, turns: tuple[Turn, ...], *, counted: int | None = None) -> None:
        """See `Memory`."""
        self.window.hear(turns, counted)
        spending.tell(names.MEMORY_KEY, self.metadata)
        try:
            await self._store.change(self._key, self._joined, ttl_s=self._place.settings.session_ttl_s)
        except AgentbusError as error:
            _log.error("memory.not_saved", context=self._session.context_id, reason=str(error))

    def _joined(self, found: Found) -> bytes:
        """What is stored now, with this exchange."""
        settings = self._place.settings
        return encode(bounded(self._on(found), settings.min_messages_to_keep))

    def _on(self, found: Found) -> Session:
        window, stored = self.window, decode(found.value) if found.value else None
        now = self._place.stamp()
        if found.revision == self._found.revision or (stored is None and not found.was_deleted):
            # nobody wrote meanwhile, or it expired while this was answered
            return msgspec.structs.replace(
                self._session, written_at=now, turns=window.turns, archived=window.archived,
                forgotten=window.forgotten, summary=window.summary, summary_prompt=window.summary_prompt,
                used_tokens=window.used,
            )  # fmt: skip
        # Another request of this conversation was faster, or its caller deleted it: what that left, and this exchange.
        base = stored or Session(
            caller=self._session.caller, context_id=self._session.context_id, began_at=now, written_at=now
        )
        return msgspec.structs.replace(
            base,
            written_at=now,
            turns=(*self._others(base.turns), *self._mine(window.turns)),
            archived=(*self._others(base.archived), *self._mine(window.archived)),
            used_tokens=0,
        )

    def _mine(self, kept: tuple[Kept, ...]) -> tuple[Kept, ...]:
        return tuple(one for one in kept if one.exchange == self._exchange)

    def _others(self, kept: tuple[Kept, ...]) -> tuple[Kept, ...]:
        return tuple(one for one in kept if one.exchange != self._exchange)


def require_keepable(context_id: str) -> None:
    """Return where a conversation of this name can be kept.

    Raises:
        InvalidArgument: the name is too long to be kept with it.
    """
    if len(context_id) > MOST_CONTEXT_CHARS:
        violation = FieldViolation("message.contextId", f"longer than {MOST_CONTEXT_CHARS} characters")
        raise InvalidArgument("this agent remembers conversations by a shorter contextId", violations=(violation,))
