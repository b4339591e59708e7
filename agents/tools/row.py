"""One tool with everything that the toolbox has to know of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents import llm
from agents.context import Context
from agents.safety.provenance import Provenance
from schemas.agent import Argument, ToolSettings

Run = Callable[[Any, Context], Awaitable[str]]
"""Gets what the tool's input reads, and returns what the model is told. Raises AgentbusError with advice for it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tool. `has_effects`: its intent is on the audit stream before it runs.

    `needs_approval`: people decide about each call. Without `timeout_s` it has `resilience.tool_timeout_s`.
    `ends_itself`: it keeps to its limit and tells what it had by then, so it gets a little longer. `origin` is who wrote
    it, for operators. `provenance` is whose words its results are: nobody's that we know, unless the tool says otherwise.
    """

    tool: llm.Tool
    run: Run
    has_effects: bool
    needs_approval: bool = False
    timeout_s: float | None = None
    max_result_chars: int = 20_000
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    origin: str = "agentbus"
    provenance: Provenance = "untrusted"
    ends_itself: bool = False
    cache_s: float | None = None
    """How long a result answers the same call again; None: each call is made."""
    reflects: str = ""
    """What a model is asked about each result, beside it; empty: nothing."""
    at_once: int = 1
    """How many calls of one turn may run at the same time."""
    place_of: Callable[[Any], str] | None = None
    """Of a tool that stands on several servers: which one a call with these arguments goes to. They fail each for itself."""

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.tool.name

    def under(self, settings: ToolSettings) -> Row:
        """The same as the agent's file wants it. A row that needs approval needs it whatever the file says."""
        return replace(
            self,
            needs_approval=self.needs_approval or settings.approval == "always",
            timeout_s=settings.timeout_s or self.timeout_s,
            max_result_chars=settings.max_result_chars,
            arguments=settings.arguments,
            cache_s=settings.cache_s,
            reflects=settings.reflects,
        )
