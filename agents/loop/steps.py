"""The two kinds of calls that a conversation makes, and what may stand around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from agents.context import Context
from agents.llm import Completion, ToolCall
from agents.tools.row import Row
from bus.trace import Trace

MODELS = "models"


class Began:
    """Whether a call has got through everything around it, when (`time.perf_counter`), and what caused its effect."""

    def __init__(self) -> None:
        self.at_s: float | None = None
        self.trace: Trace | None = None
        """Of a tool: after its intent, where it has one."""
        self.is_cached = False
        """Of a tool: it does not run, what it found earlier is given again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStep:
    """The models are about to be asked."""

    context: Context
    question: Completion
    guards: tuple[Guard, ...] = ()
    began: Began = field(default_factory=Began)

    @property
    def key(self) -> str:
        """What limits count it as."""
        return MODELS


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStep:
    """A tool is about to run. `arguments` are of its form; whether they are allowed has yet to be asked."""

    context: Context
    call: ToolCall
    row: Row
    arguments: Any
    guards: tuple[Guard, ...] = ()
    began: Began = field(default_factory=Began)

    @property
    def key(self) -> str:
        """What limits count it as."""
        return self.row.name


Step = ModelStep | ToolStep


class Guard(Protocol):
    """Decides whether a call may be made, and what the model is shown of its result."""

    async def let_through(self, step: Step) -> None:
        """Return when it may be made.

        Raises:
            AgentbusError: it may not. Of a tool's call the model is told why; a question to the models is not asked.
            AuthRequired: people have to decide.
        """

    def shown(self, step: ToolStep, text: str) -> str:
        """What the model is shown of a tool's result."""


class Layer(Protocol):
    """One thing that stands around every call. There is one of each in an agent's process."""

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        """Make the call by `proceed`, once or not at all, and return what it gives."""
