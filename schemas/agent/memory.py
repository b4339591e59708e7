"""What an agent remembers of a conversation: for how long, how much of it, and what is kept when it grows too long."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.documents import Document

LONGEST_SESSION_S = 30 * 24 * 3600
OF_HANDLERS = frozenset({"session_ttl_s", "notes"})
"""The keys that count for an agent with a handler; the others are about what a model is told."""


class Memory(Document):
    """With this section an agent answers in its caller's conversation (`contextId`) and remembers it."""

    context_window_size: int = Field(
        100_000,
        ge=1_000,
        le=10_000_000,
        description="tokens that one question to a model may hold, its answer included",
    )
    cleanup_threshold: float = Field(
        0.90, gt=0, le=1, description="part of the window over which what is oldest is put into the archive"
    )
    cleanup_target: float = Field(0.60, gt=0, le=1, description="part of the window at which that ends")
    min_messages_to_keep: int = Field(5, ge=1, le=1_000, description="the newest so many messages always stay")
    compression_token_threshold: int = Field(
        8_000, ge=0, description="what is put away with more tokens than this is summarised by a model before"
    )
    session_ttl_s: int = Field(
        3_600, ge=1, le=LONGEST_SESSION_S, description="a conversation is forgotten so long after its last answer"
    )
    notes: Literal["caller", "shared"] = Field(
        "caller",
        description="whether each caller has notes of its own, or all callers the same ones (tool note; ctx.memory)",
    )

    @property
    def cleanup_above(self) -> int:
        """Tokens over which what is oldest is put away."""
        return round(self.context_window_size * self.cleanup_threshold)

    @property
    def cleanup_to(self) -> int:
        """Tokens at which that ends."""
        return round(self.context_window_size * self.cleanup_target)

    @model_validator(mode="after")
    def _ends_below_where_it_begins(self) -> Self:
        if self.cleanup_target >= self.cleanup_threshold:
            raise ValueError("cleanup_target must be less than cleanup_threshold")
        return self
