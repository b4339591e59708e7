"""Who an agent is and what it can do, as its file says."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.documents import Document
from schemas.fleet import AgentId
from schemas.json_schema import Declared
from schemas.subjects import TOKEN

SkillId = Annotated[str, StringConstraints(pattern=f"^{TOKEN}$")]
_SEMVER = r"^\d+\.\d+\.\d+$"


class SkillText(Document):
    """How a skill is described to others. A handler's types come from its signature."""

    id: SkillId = Field(description="what callers name; of a handler's skill, the id that @skill gave it")
    name: str = Field(description="a title for readers of the card")
    description: str = Field(description="what it does, for people and for models that choose an agent")
    tags: tuple[str, ...] = Field((), description="words by which it is found")
    examples: tuple[str, ...] = Field((), description="requests that it answers well")
    input: Declared | None = Field(
        None, description="JSON Schema of the data part that a model takes; text when there is none"
    )
    output: Declared | None = Field(
        None, description="JSON Schema of the data part that a model gives; text when there is none"
    )


class Identity(Document):
    """Who the agent is."""

    id: AgentId = Field(description="the agent's name on the bus, in the fleet file, and of its folder")
    description: str = Field(description="what the agent is for, in a sentence; stands in its card")
    version: Annotated[str, StringConstraints(pattern=_SEMVER)] = Field(
        "1.0.0", description="the agent's version (semver), raised by its author; stands in its card"
    )
    skills: tuple[SkillText, ...] = Field(
        (), description="its skills in words; a handler has those of its functions besides"
    )
