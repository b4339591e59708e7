"""The tools of one agent, and how a call of them goes: form, policy, intent, run, end, each on the trail.

form        the loop reads the arguments with the tool's input
policy      what the agent's file allows of them
intent      on the trail, and confirmed, where the tool has effects; without it nothing runs
run         no longer than the tool's `timeout_s`
end         on the trail, whatever it was; the result is cut to what a model may be told
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from agents import llm
from agents.changes import AuthRequired
from agents.context import Context
from agents.safety.provenance import Provenance
from agents.tools.errors import ToolError, ToolLate, ToolRefused
from agents.tools.policy import require_allowed
from agents.tools.row import Row
from agents.tools.sources import require_different
from bus import trace
from bus.audit.emit import Audit
from schemas.errors import AgentbusError

_GRACE_S = 10.0
RunTool = Callable[[str, Any], Awaitable[str]]
"""Runs the tool of that name with its checked arguments; returns what the model is told."""


class Toolbox:
    """What one agent may use, and nothing else.

    Raises:
        ToolUnusable: two tools have one name.
    """

    def __init__(self, rows: Iterable[Row], audit: Audit) -> None:
        self.rows = tuple(rows)
        require_different(self.rows)
        self._by_name = {row.name: row for row in self.rows}
        self._audit = audit

    @property
    def tools(self) -> tuple[llm.Tool, ...]:
        """What the model is offered."""
        return tuple(row.tool for row in self.rows)

    def provenance_of(self, name: str) -> Provenance:
        """Whose words the results of a tool are."""
        return self._by_name[name].provenance

    def runner(self, context: Context) -> RunTool:
        """Runs tools on behalf of one request.

        Raises:
            AgentbusError: for the model. AuditUnavailable: it has not run, or its end is not on the trail.
            AuthRequired: the task waits for people.
        """

        async def run(name: str, arguments: Any) -> str:
            call = _Call(self._by_name[name], arguments, context, self._audit)
            return await call.run()

        return run


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of one tool."""

    row: Row
    arguments: Any
    context: Context
    audit: Audit

    async def run(self) -> str:
        self._require_allowed()
        here = trace.current() or trace.new_trace()
        if self.row.has_effects:
            here = here.caused_by(await self._intent())
        started = time.perf_counter()
        with trace.entered(here):
            try:
                result = await self._in_time()
            except AgentbusError as error:
                self._finished(started, error.word if isinstance(error, ToolError) else str(error))
                raise
            except AuthRequired:  # it has done its part; the task waits for people
                self._finished(started)
                raise
            except asyncio.CancelledError:
                self._finished(started, "canceled")
                raise
            self._finished(started)
        return cut(result, self.row.max_result_chars)

    def _require_allowed(self) -> None:
        row = self.row
        try:
            require_allowed(row, row.tool.form.plain(self.arguments))
        except ToolRefused:
            self.audit.emit(
                "tool.refused", actor=self.context.agent, action=row.name, resource=self.context.caller,
                outcome="denied", reason="the agent's file does not allow these arguments",
            )  # fmt: skip
            raise

    async def _intent(self) -> str:
        intent = self.audit.emit(
            "tool.intended", actor=self.context.agent, action=self.row.name, resource=self.context.caller
        )
        await self.audit.confirm()
        return intent

    async def _in_time(self) -> str:
        limit = asyncio.timeout(self.row.timeout_s + (_GRACE_S if self.row.ends_itself else 0))
        try:
            async with limit:
                return await self.row.run(self.arguments, self.context)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ToolLate(f"{self.row.name} did not end within {self.row.timeout_s:g} s and was stopped") from None

    def _finished(self, started: float, problem: str = "") -> None:
        self.audit.emit(
            "tool.finished", actor=self.context.agent, action=self.row.name, resource=self.context.caller,
            outcome="failure" if problem else "success", reason=problem,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
        )  # fmt: skip


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with a word about that it is."""
    return text if len(text) <= limit else f"{text[:limit]}\n[cut: {len(text)} characters, {limit} shown]"
