"""Every tool there is, and the toolbox of one agent: audited, intent before effect."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from agents import llm
from agents.changes import AuthRequired
from agents.context import Context
from agents.tools import propose_change
from bus import trace
from bus.audit.emit import Audit
from schemas.documents import Document
from schemas.errors import AgentbusError

Run = Callable[[Document, Context], Awaitable[str]]
RunTool = Callable[[str, Document], Awaitable[str]]
"""Runs the tool of that name with its checked arguments; returns what the model is told."""


class Row(NamedTuple):
    """One tool. `has_effects`: its intent is on the audit stream before it runs."""

    tool: llm.Tool
    run: Run
    has_effects: bool


CATALOGUE: dict[str, Row] = {
    propose_change.NAME: Row(
        llm.Tool(name=propose_change.NAME, description=propose_change.DESCRIPTION, input=propose_change.ProposeChange),
        propose_change.propose_change,
        has_effects=True,
    ),
}


class Toolbox:
    """The tools that one agent's file names."""

    def __init__(self, names: Iterable[str], audit: Audit) -> None:
        self._rows = {name: CATALOGUE[name] for name in names}
        self._audit = audit

    @property
    def tools(self) -> tuple[llm.Tool, ...]:
        """What the model is offered."""
        return tuple(row.tool for row in self._rows.values())

    def runner(self, context: Context) -> RunTool:
        """Runs tools on behalf of one request."""

        async def run(name: str, arguments: Document) -> str:
            row = self._rows[name]
            here = trace.current() or trace.new_trace()
            if row.has_effects:
                intent = self._audit.emit("tool.intended", actor=context.agent, action=name, resource=context.caller)
                await self._audit.confirm()
                here = here.caused_by(intent)
            started = time.perf_counter()
            with trace.entered(here):
                try:
                    result = await row.run(arguments, context)
                except AgentbusError as error:
                    self._finished(name, context, started, str(error))
                    raise
                except AuthRequired:  # it has done its part; the task waits for people
                    self._finished(name, context, started)
                    raise
                self._finished(name, context, started)
            return result

        return run

    def _finished(self, name: str, context: Context, started: float, problem: str = "") -> None:
        self._audit.emit(
            "tool.finished", actor=context.agent, action=name, resource=context.caller,
            outcome="failure" if problem else "success", reason=problem,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
        )  # fmt: skip
