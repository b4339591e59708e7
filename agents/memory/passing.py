"""The memory of an agent that remembers nothing: within one request or task it still answers a model that refuses."""

from __future__ import annotations

from agents.llm import Turn
from schemas.a2a import JsonObject

from .session import Session
from .window import ConversationWindow, Surroundings


class PassingMemory:
    """See `Memory`. Turns are put away only when a model has refused them as too long."""

    metadata: JsonObject = {}

    def __init__(self, place: Surroundings) -> None:
        now = place.stamp()
        nothing = Session(caller="", context_id="", began_at=now, written_at=now)
        self._window = ConversationWindow(place, nothing, "")

    async def load(self) -> tuple[Turn, ...]:
        """Nothing was said before."""
        return ()

    async def fit(
        self, turns: tuple[Turn, ...], *, counted: int | None = None, is_overflow: bool = False
    ) -> tuple[Turn, ...]:
        """See `Memory`."""
        if not is_overflow:
            return turns
        self._window.hear(turns, counted)
        return self._window.told if await self._window.compact(is_overflow=True) else turns

    async def save(self, turns: tuple[Turn, ...], *, counted: int | None = None) -> None:
        """Nothing is kept."""
