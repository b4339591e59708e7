"""What an agent takes on at once, and how long it takes for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.documents import Document
from schemas.subjects import TOKEN


class CallerLimits(Document):
    """What one caller may send, in place of what every caller may."""

    requests_per_s: float = Field(10.0, ge=0, description="messages a second, on average; 0: no limit")
    burst: int = Field(20, ge=1, description="messages at once, before `requests_per_s` counts")


class Breaker(Document):
    """When an agent that is asked, and fails, is left alone for a while."""

    failures: int = Field(5, ge=0, description="failures in a row after which it is not asked; 0: always asked")
    successes: int = Field(2, ge=1, description="answers in a row after which it is asked as before")
    open_s: float = Field(60.0, gt=0, description="how long it is not asked before it is tried again")


class Limits(Document):
    """What one instance takes on at once."""

    max_concurrent: int = Field(100, ge=1, description="requests and tasks of all kinds that run at the same time")
    max_queued: int = Field(1000, ge=0, description="requests that may wait for a place")
    queue_timeout_s: float = Field(30.0, gt=0, description="how long a request may wait for a place")
    requests_per_s: float = Field(10.0, ge=0, description="messages a second of one caller, on average; 0: no limit")
    burst: int = Field(20, ge=1, description="messages of one caller at once, before `requests_per_s` counts")
    callers: dict[Annotated[str, StringConstraints(pattern=f"^{TOKEN}$")], CallerLimits] = Field(
        {}, description="callers by name who may send more, or less, than the others"
    )
    breaker: Breaker = Field(Breaker(), description="when another agent that fails is left alone for a while")
    request_timeout_s: float = Field(300.0, gt=0, description="how long a request may take, if its caller has the time")
    drain_timeout_s: float = Field(
        25.0, gt=0, description="how long what was begun may go on after the process is told to stop"
    )
