"""The whole of `agents/<id>/agent.yaml`."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from schemas.documents import Document
from schemas.heartbeat import LONGEST_INTERVAL_S, MISSED

from .budget import BudgetLimits
from .canary import Canary
from .extension import Extension
from .http import Http
from .identity import Identity
from .limits import Limits
from .mcp import Mcp, or_file
from .memory import OF_HANDLERS, Memory
from .models import Llm
from .resilience import Resilience
from .routing import Routing
from .safety import Safety
from .tools import Tools, or_names


class AgentFile(Document):
    """The whole file. `handler` (Python in the agent's own folder) answers, or `llm`, or `routing` passes on."""

    agent: Identity = Field(description="who the agent is and what it can do")
    handler: str | None = Field(
        None, description="FILE.py:NAME in the agent's folder; NAME is a skill or a list of them"
    )
    llm: Llm | None = Field(None, description="the models that answer, and their prompt")
    routing: Routing | None = Field(
        None, description="pass each message on to another agent; then nothing else answers"
    )
    memory: Memory | None = Field(
        None,
        description="remember each caller's conversations; without it, none; a handler has them, and notes, as ctx.memory",
    )
    tools: Tools = Field(
        default_factory=Tools,
        description="what a model may do besides answering: a list of names, or names with their settings",
        json_schema_extra=or_names,
    )
    mcp: Mcp = Field(
        default_factory=Mcp,
        description="MCP servers by name, or the name of a file with them (mcp.json)",
        json_schema_extra=or_file,
    )
    extensions: tuple[Extension, ...] = Field((), description="extensions of A2A that the agent speaks")
    limits: Limits = Field(Limits(), description="what one instance takes on at once")
    budget: BudgetLimits = Field(BudgetLimits(), description="what one task may spend")
    resilience: Resilience = Field(Resilience(), description="what stands around each call of a model and of a tool")
    safety: Safety = Field(Safety(), description="what a model may be sent, and what is done about texts like orders")
    canary: Canary | None = Field(
        None, description="what it must answer after each change of itself; without one, its card is asked for"
    )
    http: Http = Field(Http(), description="ports at which its process tells how it is; none unless named")
    heartbeat_interval_s: float = Field(
        30.0, gt=0, le=LONGEST_INTERVAL_S, description=f"an instance that misses {MISSED} is offline"
    )

    @field_validator("handler")
    @classmethod
    def _handler_names_a_file(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[a-z_][a-z0-9_]*\.py:[A-Za-z_]\w*", value):
            raise ValueError("write FILE.py:NAME; the file lies beside agent.yaml")
        return value

    @field_validator("extensions")
    @classmethod
    def _each_extension_once(cls, value: tuple[Extension, ...]) -> tuple[Extension, ...]:
        if len({extension.uri for extension in value}) < len(value):
            raise ValueError("an extension is listed twice; leave one out")
        return value

    @model_validator(mode="after")
    def _one_way_to_answer(self) -> Self:
        ways = [name for name in ("handler", "llm", "routing") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(
                f"an agent has exactly one of 'handler', 'llm' and 'routing'; this one has {' and '.join(ways) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _who_answers_remembers(self) -> Self:
        if self.memory is None or self.llm is not None:
            return self
        if self.routing is not None:
            raise ValueError("'memory' goes with 'llm' or 'handler'; a router keeps nothing")
        needless = sorted(self.memory.model_fields_set - OF_HANDLERS)
        if needless:
            raise ValueError(
                f"memory.{needless[0]} is about what a model is told; with 'handler' memory takes "
                f"{' and '.join(sorted(OF_HANDLERS))}"
            )
        return self

    @model_validator(mode="after")
    def _tools_are_for_models(self) -> Self:
        if self.handler and self.mcp:
            raise ValueError("'mcp' goes with 'llm'; a handler calls servers itself")
        return self

    @model_validator(mode="after")
    def _types_have_one_source(self) -> Self:
        for skill in self.agent.skills:
            if self.handler and (skill.input or skill.output):
                raise ValueError(f"skill {skill.id}: a handler's types come from its signature; leave the schemas out")
        return self
