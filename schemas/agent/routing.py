"""How an agent asks others: what its model may ask by itself, and which agent a router passes a message on to."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.documents import Document
from schemas.fleet import AgentId

from .identity import SkillId
from .models import Llm
from .tool_settings import ToolSettings

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class AskSettings(ToolSettings):
    """Of `ask_agent`. The server lets an agent ask those alone that `asks` of the fleet file names."""

    timeout_s: float = Field(
        120.0, gt=0, le=3600, description="how long a call may take, the other agent's work included"
    )
    agents: tuple[AgentId, ...] = Field(
        (), description="the agents that the model may ask; without it, all that the fleet file lets this agent ask"
    )
    directory: AgentId = Field(
        "directory", description="the agent that knows who can do what; it has to be in `asks` to be asked"
    )
    at_once: int = Field(4, ge=1, le=64, description="how many of the calls of one turn run at the same time")


class Route(Document):
    """One row of a static table: what it says of the message must all be so; one that says nothing takes every one."""

    agent: AgentId = Field(description="the agent that such messages are passed on to")
    skill: Word | None = Field(None, description="pattern (`*`, `?`) of the skill that the message names")
    tag: Word | None = Field(None, description="one of the words in the message's metadata `tags`, in any case")
    pattern: Word | None = Field(None, description="pattern (`*`, `?`) of the message's whole text, in any case")
    as_skill: SkillId | None = Field(None, description="the agent's skill that it is for, in place of the one it names")


class Routing(Document):
    """With this section an agent answers nothing itself: it passes each message on to another agent."""

    strategy: Literal["static", "capability", "llm"] = Field(
        description="static: by the table `routes`; capability: who has the skill, as the live directory knows; "
        "llm: a model picks among the agents that the directory knows"
    )
    routes: tuple[Route, ...] = Field((), description="of static: the first row that fits decides")
    skill: SkillId | None = Field(
        None, description="of capability: the skill that is looked for, in place of the one that the message names"
    )
    tags: tuple[Word, ...] = Field((), description="of capability: tags that the skill must have, all of them")
    agents: tuple[AgentId, ...] = Field(
        (),
        description="of capability and llm: the agents among which is chosen; without it all that the directory knows",
    )
    directory: AgentId = Field(
        "directory", description="of capability and llm: the agent that knows who can do what; it has to be in `asks`"
    )
    max_iterations: int = Field(
        10, ge=1, le=100, description="agents that are tried while each is away; of llm also questions to the model"
    )
    timeout_s: float = Field(300.0, gt=0, description="how long the other agent may take")
    llm: Llm | None = Field(None, description="of llm: the models that pick, and what they are told of the choice")

    @model_validator(mode="after")
    def _has_what_its_strategy_needs(self) -> Self:
        needs = {"routes": bool(self.routes), "llm": self.llm is not None}
        wanted = {"static": "routes", "llm": "llm"}.get(self.strategy, "")
        if wanted and not needs[wanted]:
            raise ValueError(f"strategy {self.strategy} needs '{wanted}'")
        extra = next((name for name, is_there in needs.items() if is_there and name != wanted), None)
        if extra:
            raise ValueError(f"'{extra}' is of another strategy than {self.strategy}; leave it out")
        return self
