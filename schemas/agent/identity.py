"""Who an agent is and what it can do, as its file says."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints, field_validator

from schemas.documents import Document
from schemas.errors import InvalidDocument
from schemas.fleet import AgentId
from schemas.json_schema import JsonSchema
from schemas.subjects import TOKEN

SkillId = Annotated[str, StringConstraints(pattern=f"^{TOKEN}$")]
_SEMVER = r"^\d+\.\d+\.\d+$"


class SkillText(Document):
    """How a skill is described to others. A handler's types come from its signature."""

    id: SkillId
    name: str
    description: str
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    input: dict[str, JsonValue] | None = Field(
        None, description="JSON Schema of the data part that a model takes; text when there is none"
    )
    output: dict[str, JsonValue] | None = Field(
        None, description="JSON Schema of the data part that a model gives; text when there is none"
    )

    @field_validator("input", "output")
    @classmethod
    def _is_a_schema(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if value is not None:
            try:
                JsonSchema(value)
            except InvalidDocument as error:
                raise ValueError(str(error)) from None
        return value


class Identity(Document):
    """Who the agent is."""

    id: AgentId
    description: str
    version: Annotated[str, StringConstraints(pattern=_SEMVER)] = "1.0.0"
    skills: tuple[SkillText, ...] = ()
