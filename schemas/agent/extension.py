"""Extensions of A2A that an agent lists in its card."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints, field_validator

from schemas.documents import Document

_URI = r"^[A-Za-z][A-Za-z0-9+.-]*:[!-+\--~]+$"  # no white space, no comma


class Extension(Document):
    """An extension of A2A that the agent speaks, as its card lists it."""

    uri: Annotated[str, StringConstraints(pattern=_URI, max_length=200)] = Field(
        description="the extension's URI, which clients declare in A2A-Extensions"
    )
    description: str = Field("", description="how the agent uses it, for readers of the card")
    required: bool = Field(False, description="refuse messages of clients that do not declare it")
    params: dict[str, JsonValue] = Field({}, description="what the extension wants to know, as it defines it")

    @field_validator("uri")
    @classmethod
    def _is_not_ours(cls, value: str) -> str:
        if value.startswith("urn:agentbus:"):
            raise ValueError("urn:agentbus: is for what every agent of this product lists by itself")
        return value
