"""A toolbox without an agent's process: its trail is a list, its context one that asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from agents.changes import Asking
from agents.context import Context
from agents.llm import Budget, Pool, SystemPrompt, ToolCall, UserTurn
from agents.loop import Conversation, Models, ToolStep, layers_of, runner, within
from agents.tools.row import Row
from agents.tools.toolbox import Toolbox
from bus.audit.emit import Audit
from bus.requests.caller import Caller
from schemas import a2a
from schemas.agent import Resilience


class Told:
    """What the toolbox told, in order, and how often it waited for the trail."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.confirmed = 0

    @property
    def kinds(self) -> list[str]:
        """The names of the events."""
        return [kind for kind, _ in self.events]

    def emit(self, kind: str, **facts: Any) -> str:
        """As `Audit.emit`."""
        self.events.append((kind, facts))
        return f"event-{len(self.events)}"

    async def confirm(self, timeout_s: float = 0) -> None:
        """As `Audit.confirm`."""
        self.confirmed += 1


def context(text: str = "hello") -> Context:
    """The context of a request that is no task."""
    message = a2a.Message(message_id="m-1", role="ROLE_USER", parts=(a2a.Part(text=text),))
    nobody: Any = None
    return Context("writer", "ops", message, None, cast(Caller, nobody), cast(Asking, nobody))


class Box:
    """A toolbox with everything that stands around its tools."""

    def __init__(self, rows: Sequence[Row], told: Told | None = None) -> None:
        self.toolbox = Toolbox(rows)
        self.audit = cast(Audit, told or Told())
        self.layers = layers_of(Resilience(), self.audit)


def toolbox(rows: Sequence[Row], told: Told | None = None) -> Box:
    """Of these rows."""
    return Box(rows, told)


async def called(box: Box, name: str, **arguments: Any) -> str:
    """What a model that calls the tool is told; raises as the tool does."""
    row = next(row for row in box.toolbox.rows if row.name == name)
    call = ToolCall(id="c-1", name=name, input=arguments)
    step = ToolStep(context=context(), call=call, row=row, arguments=row.tool.arguments(call), guards=(box.toolbox,))
    return await within(box.layers, step, lambda: runner(box.audit)(step))


def conversation(
    pool: Pool, prompt: SystemPrompt, text: str, *rows: Row, told: Told | None = None, **more: Any
) -> Conversation:
    """In which `text` was said, with these tools and everything that stands around them."""
    box = toolbox(rows, told)
    return Conversation(
        models=Models(context=context(text), pool=pool, budget=Budget(), layers=box.layers, guards=(box.toolbox,)),
        prompt=prompt,
        turns=(UserTurn(text=text),),
        rows=box.toolbox.rows,
        run_tool=runner(box.audit),
        **more,
    )
