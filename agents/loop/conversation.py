"""What one conversation is made of, and how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from agents.llm import Budget, Pool, SystemPrompt, Tool, Turn, Usage
from agents.memory import Forgetful, Memory

from .table import Transition

RunTool = Callable[[str, Any], Awaitable[str]]
"""Runs the tool of that name with its checked arguments; returns what the model is told."""
Hear = Callable[[], tuple[Turn, ...]]
"""What the caller has added since this was last asked."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a conversation may go: turns of the model that end in tool calls, and calls of tools."""

    max_iterations: int = 10
    max_tool_calls: int | None = None


class Stepped(NamedTuple):
    """A transition that was taken, after so many turns of the model with tool calls.

    `error` is what ended the conversation; `sums` are those of the whole, at its end.
    """

    transition: Transition
    round: int
    error: BaseException | None = None
    sums: Sums | None = None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation took, as far as it is known. `model` is the one that answered last."""

    usage: Usage
    budget: Budget
    tool_calls: int = 0
    model: str = ""


OnStep = Callable[[Stepped], None]


def _nothing() -> tuple[Turn, ...]:
    """Nobody can add anything."""
    return ()


def _ignore(_: Stepped) -> None:
    """Nobody asked to be told."""


async def _no_tools(name: str, _: Any) -> str:
    raise AssertionError(f"{name} was not offered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A model, what it is told, and everything around it. `turns` are those of this request or task, without the memory's."""

    pool: Pool
    prompt: SystemPrompt
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    run_tool: RunTool = _no_tools
    budget: Budget = field(default_factory=Budget)
    memory: Memory = field(default_factory=Forgetful)
    bounds: Bounds = Bounds()
    at_once: Mapping[str, int] = field(default_factory=dict)
    """Of these tools so many calls of one turn may run at the same time."""
    hear: Hear = _nothing
    on_step: OnStep = _ignore


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation ended. `turns` are those of the memory, those given and those added, the answer last."""

    text: str
    turns: tuple[Turn, ...]
    rounds: int
    sums: Sums
