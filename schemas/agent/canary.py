"""What an agent must answer after each change of itself."""

from __future__ import annotations

from typing import Self

from pydantic import Field, JsonValue, model_validator

from schemas.documents import Document


class Canary(Document):
    """A request that the agent must answer after each change of itself. Without one, its card is asked for."""

    text: str | None = Field(None, description="what it is asked, as text")
    data: JsonValue = Field(None, description="what it is asked, as the data part of a typed skill")
    skill: str = Field("", description="the skill that is asked; the first one when empty")
    contains: str = Field("", description="text that the answer must contain")
    timeout_s: float = Field(10.0, gt=0, le=300, description="how long the answer may take")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.text is None) == (self.data is None):
            raise ValueError("a canary has exactly one of 'text' and 'data'")
        return self
