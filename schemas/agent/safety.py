"""What an agent takes in, and what is done about texts that look like instructions to it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.documents import Document

MediaType = Annotated[str, StringConstraints(pattern=r"^[a-z]+/(\*|[a-z0-9.+-]+)$", max_length=100)]


class Safety(Document):
    """The limits of a message to a model. What is over them is refused before anything is paid for."""

    max_input_chars: int = Field(10_000, ge=1, description="characters of text and data in one message")
    max_attachments: int = Field(4, ge=0, description="parts of one message that are files or addresses")
    max_attachment_bytes: int = Field(1_048_576, ge=0, description="size of one file; larger ones are refused")
    attachment_types: tuple[MediaType, ...] = Field(
        ("text/*", "application/json"), description="media types of files that are taken; text/* is any text"
    )
    on_signal: Literal["note", "refuse", "ignore"] = Field(
        "note",
        description="what a text does that looks like an instruction to the model: it is noted on the trail, "
        "the message is refused too, or nobody looks",
    )
