"""The tools of one agent, and what its file lets through.

How a call goes, with everything that stands around it and with its intent and its end on the trail, is the
loop's: `agents.loop.layers`. Here is what the layer of security asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from agents import llm
from agents.loop.steps import Step, ToolStep
from agents.tools.approval import once, require_approval
from agents.tools.errors import ToolRefused
from agents.tools.policy import require_allowed
from agents.tools.row import Row
from agents.tools.sources import require_different


class Source(Protocol):
    """Rows that come and go while the agent runs."""

    def rows(self) -> tuple[Row, ...]:
        """Those of now; the same tool is the same row. Their names are no other tool's."""

    async def settled(self) -> None:
        """Return when it is known which there are, after a time of its own at the latest."""


class Toolbox:
    """What one agent may use, and nothing else. It is a guard of every conversation.

    Raises:
        ToolUnusable: two tools have one name.
    """

    def __init__(self, rows: Iterable[Row], *sources: Source) -> None:
        self._rows = tuple(once(row) for row in rows)
        self._sources = sources
        self._known: dict[int, tuple[Row, Row]] = {}
        """Rows of the sources by identity, each as it came and as it is offered."""
        require_different(self._rows)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Those of now."""
        given = [row for source in self._sources for row in source.rows()]
        self._known = {id(row): self._known.get(id(row)) or (row, once(row)) for row in given}
        return (*self._rows, *(self._known[id(row)][1] for row in given))

    async def settled(self) -> None:
        """Return when it is known which tools there are."""
        for source in self._sources:
            await source.settled()

    def __bool__(self) -> bool:
        """Whether there may be any."""
        return bool(self._rows or self._sources)

    @property
    def tools(self) -> tuple[llm.Tool, ...]:
        """What the model is offered."""
        return tuple(row.tool for row in self.rows)

    async def let_through(self, step: Step) -> None:
        """Return when the agent's file has this tool, and allows these arguments, and people do where they have to.

        Raises:
            ToolRefused: they do not; the model is told what it may do. AuthRequired: people are asked.
        """
        if not isinstance(step, ToolStep):
            return
        row = step.row
        if not any(row is known for known in self.rows):
            raise ToolRefused(f"{row.name} is no tool of this agent")
        require_allowed(row, row.tool.form.plain(step.arguments))
        await require_approval(step)

    def shown(self, step: ToolStep, text: str) -> str:
        """The text as it is."""
        del step
        return text
