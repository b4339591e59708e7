"""The tools of one agent, and what its file lets through.

How a call goes, with everything that stands around it and with its intent and its end on the trail, is the
loop's: `agents.loop.layers`. Here is what the layer of security asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents import llm
from agents.loop.steps import Step, ToolStep
from agents.tools.errors import ToolRefused
from agents.tools.policy import require_allowed
from agents.tools.row import Row
from agents.tools.sources import require_different


class Toolbox:
    """What one agent may use, and nothing else. It is a guard of every conversation.

    Raises:
        ToolUnusable: two tools have one name.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        require_different(self.rows)
        self._by_name = {row.name: row for row in self.rows}

    @property
    def tools(self) -> tuple[llm.Tool, ...]:
        """What the model is offered."""
        return tuple(row.tool for row in self.rows)

    async def let_through(self, step: Step) -> None:
        """Return when the agent's file has this tool, and allows these arguments.

        Raises:
            ToolRefused: it does not; the model is told what it may do.
        """
        if not isinstance(step, ToolStep):
            return
        row = step.row
        if self._by_name.get(row.name) is not row:
            raise ToolRefused(f"{row.name} is no tool of this agent")
        require_allowed(row, row.tool.form.plain(step.arguments))

    def shown(self, step: ToolStep, text: str) -> str:
        """The text as it is."""
        del step
        return text
