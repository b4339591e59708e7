"""Messages of requests and their answers: what a request must be, and the conversation that both belong to."""

from __future__ import annotations

import itertools
import os

import msgspec

from bus.requests import spending
from schemas import a2a, protojson
from schemas.errors import (
    ContentTypeNotSupported,
    ExtensionSupportRequired,
    InvalidArgument,
    LoopDetected,
    PayloadTooLarge,
    RateLimited,
)

_RUN, _NUMBERS = os.urandom(8).hex(), itertools.count(1)
"""What ids of answers are made of: this process, and a number."""

UNWORKABLE = (
    ContentTypeNotSupported, ExtensionSupportRequired, InvalidArgument, LoopDetected, PayloadTooLarge, RateLimited,
)  # fmt: skip
"""What a durable task is rejected for before it is begun."""


def decoded(payload: bytes) -> a2a.SendMessageRequest:
    """What a caller sends to an agent.

    Raises:
        InvalidArgument: it is not that, or says nothing.
    """
    request = protojson.decode(payload, a2a.SendMessageRequest)
    if request.message.role != "ROLE_USER":
        raise InvalidArgument("message.role must be ROLE_USER in a request")
    if not request.message.parts:
        raise InvalidArgument("message.parts is empty")
    return request


def in_a_context(message: a2a.Message) -> a2a.Message:
    """The message in its caller's conversation, or in a new one."""
    if message.context_id:
        return message
    return msgspec.structs.replace(message, context_id=f"c-{_identity()}")


def reply_to(message: a2a.Message, parts: tuple[a2a.Part, ...]) -> a2a.Message:
    """The answer to a message, in the same conversation, with what it did cost."""
    account = spending.current()
    return a2a.Message(
        message_id=_identity(), role="ROLE_AGENT", parts=parts, context_id=message.context_id,
        metadata=account.metadata() if account else {},
    )  # fmt: skip


def _identity() -> str:
    return f"{_RUN}-{next(_NUMBERS)}"
