"""What one conversation is made of, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import msgspec

from agents.llm import SystemPrompt, Turn
from agents.memory import Forgetful, Memory
from agents.tools.row import Row

from .cache import ResultCache
from .core import Models, RunTool
from .journal import Journal, Progress, Unkept
from .outlet import Unheard, Way
from .reflection import Reflection
from .table import Transition

Hear = Callable[[], tuple[Turn, ...]]
"""What the caller has added since this was last asked."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a conversation may go: turns of the model that end in tool calls, and calls of tools."""

    max_iterations: int = 10
    max_tool_calls: int | None = None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation took: of the agent's own models, failed calls too, and of tools. None: nobody knows."""

    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: Decimal | None = None
    tool_calls: int = 0


class Stepped(NamedTuple):
    """A transition that was taken, after so many turns of the model with tool calls.

    `error` is what ended the conversation; `sums` are those of the whole, at its end.
    """

    transition: Transition
    round: int
    error: BaseException | None = None
    sums: Sums | None = None


OnStep = Callable[[Stepped], None]


def _nothing() -> tuple[Turn, ...]:
    """Nobody can add anything."""
    return ()


def _ignore(_: Stepped) -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A model, what it is told, and everything around it. `turns` are those of this request or task, without the memory's."""

    models: Models
    prompt: SystemPrompt
    turns: tuple[Turn, ...]
    rows: tuple[Row, ...]
    run_tool: RunTool
    memory: Memory = field(default_factory=Forgetful)
    bounds: Bounds = Bounds()
    hear: Hear = _nothing
    outlet: Way = field(default_factory=Unheard)
    journal: Journal = field(default_factory=Unkept)
    begun: Progress = field(default_factory=Progress)
    """How far an earlier run got; its turns stand behind `turns`."""
    cache: ResultCache = field(default_factory=ResultCache)
    """What tools have found lately; one for all conversations of an agent."""
    reflection: Reflection | None = None
    """Looks at the results of tools whose rows want that; None: nobody does."""
    on_step: OnStep = _ignore


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation ended. `turns` are those of the memory, those given and those added, the answer last."""

    text: str
    turns: tuple[Turn, ...]
    rounds: int
    sums: Sums
