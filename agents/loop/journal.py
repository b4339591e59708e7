"""How far a conversation is, so that another process can go on with it instead of paying for it again."""

from __future__ import annotations

from typing import Protocol

import msgspec

from agents.llm import ToolResult, Turn


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the loop has added so far. Where the last of `turns` is a model's, it has not been acted on to its end.

    Then `results` are those of its calls that are known, by place, and `begun` the places of calls with effects of
    which nobody knows how they ended. `rounds` and `tool_calls` count what lies before that turn, and its calls too.
    """

    turns: tuple[Turn, ...] = ()
    results: tuple[ToolResult | None, ...] = ()
    begun: tuple[int, ...] = ()
    rounds: int = 0
    tool_calls: int = 0
    asks: bool = False
    """Models may be asked about results before more is written down."""


class Journal(Protocol):
    """Where it is written down."""

    async def keep(self, progress: Progress, *, is_waiting: bool = False) -> None:
        """Return when it is stored. `is_waiting`: the last call asked people, or the caller, and ends the run.

        Raises:
            NotKept: it is not stored, or nobody knows; do not go on. StaleTask: another process goes on with it.
        """


class Unkept:
    """Nobody goes on with it: a request that is no task, or a task that ends with its process."""

    async def keep(self, progress: Progress, *, is_waiting: bool = False) -> None:
        """See `Journal`."""
