"""What stands around each call of a model and of a tool: how fast, how many at once, for how long, and when not at all."""

from __future__ import annotations

from pydantic import Field

from schemas.documents import Document

from .limits import Breaker


class RateLimit(Document):
    """How fast one caller's conversations may call the models, and each tool. What is too fast waits its turn."""

    burst: int = Field(20, ge=1, description="calls at once, before `per_second` counts")
    per_second: float = Field(10.0, ge=0, description="calls a second, on average; 0: no limit")


class BulkheadLimits(Document):
    """How many calls of models one instance has under way, and as many of tools."""

    max_concurrent: int = Field(100, ge=1, description="calls at the same time")
    max_queued: int = Field(1000, ge=0, description="calls that may wait for a place")
    queue_timeout_s: float = Field(30.0, gt=0, description="how long a call may wait for a place")


class Resilience(Document):
    """Around each call of the models, and of each tool."""

    rate_limit: RateLimit = Field(RateLimit(), description="how fast one caller's conversations may make calls")
    bulkhead: BulkheadLimits = Field(BulkheadLimits(), description="how many calls are under way at once")
    breaker: Breaker = Field(
        Breaker(), description="when a tool that fails is left alone; models have their own in llm"
    )
    tool_timeout_s: float = Field(30.0, gt=0, description="how long a tool may take that has no limit of its own")
    request_timeout_s: float = Field(
        300.0, gt=0, description="how long one question to the models may take, all models that are tried together"
    )
