"""What the loop knows of a memory, and the one that remembers nothing."""

from __future__ import annotations

from typing import Protocol

from agents.llm import Turn
from schemas.a2a import JsonObject


class Memory(Protocol):
    """The memory of one conversation, for one request or task.

    `turns` of `fit` and `save` are what `load` or the last `fit` gave, and what was said since: the loop adds turns at
    the end, and takes away only what it added.
    """

    async def load(self) -> tuple[Turn, ...]:
        """What was said in this conversation before this request or task, for the model; empty when nothing was.

        Raises:
            A2AError: the conversation cannot be read now.
        """

    async def fit(
        self, turns: tuple[Turn, ...], *, counted: int | None = None, is_overflow: bool = False
    ) -> tuple[Turn, ...]:
        """The turns that the next question to a model may hold: the same ones unless they are too much.

        `counted` are the input and output tokens of the last answer in `turns` as its provider counted them.
        `is_overflow`: a model refused these turns as too long (`ContextOverflow`), whatever was counted. The same turns
        come back when nothing can be put away.
        """

    async def save(self, turns: tuple[Turn, ...], *, counted: int | None = None) -> None:
        """Remember what was said, the answer last. That it cannot be stored is logged, and fails nothing."""

    @property
    def metadata(self) -> JsonObject:
        """For the answer's `urn:agentbus:memory`: `context_used` and `context_window` in tokens; empty without a memory."""


class Forgetful:
    """No memory: each request stands for itself."""

    metadata: JsonObject = {}

    async def load(self) -> tuple[Turn, ...]:
        """Nothing was said before."""
        return ()

    async def fit(
        self,
        turns: tuple[Turn, ...],
        *,
        counted: int | None = None,  # noqa: ARG002  as in `Memory`
        is_overflow: bool = False,  # noqa: ARG002
    ) -> tuple[Turn, ...]:
        """All of them."""
        return turns

    async def save(self, turns: tuple[Turn, ...], *, counted: int | None = None) -> None:
        """Nothing is kept."""
