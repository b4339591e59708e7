"""What may be believed of a message that arrived: the rules that stop a requester from steering others.

A requester chooses the reply subject, and the server itself answers JetStream requests to whatever reply
subject was named. So a request is served only when its reply subject belongs to its own caller, and
nothing is accepted that carries the marks of a JetStream answer. Pure functions, no I/O.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from bus.connection import Msg
from bus.headers import MALFORMED, encode
from bus.trace import Trace, continued
from schemas import names, protojson
from schemas.a2a import MEDIA_TYPE, PROTOCOL_VERSION
from schemas.errors import (
    UNREADABLE,
    A2AError,
    InvalidAgentResponse,
    InvalidArgument,
    VersionNotSupported,
    error_from_body,
)
from schemas.subjects import Request, Task
from schemas.usage import amount_of

PLAIN_ANSWER = encode({names.A2A_VERSION: PROTOCOL_VERSION, names.CONTENT_TYPE: MEDIA_TYPE})
"""The headers of almost every answer: one that is no error, and no part of a stream."""
_VERSION = names.A2A_VERSION.lower()
_DEADLINE = names.DEADLINE.lower()
_LAST_EVENT = names.LAST_EVENT.lower()
_EXTENSIONS = names.A2A_EXTENSIONS.lower()
_CHAIN = names.CHAIN.lower()
_BUDGET = names.BUDGET.lower()
_IDEMPOTENCY_KEY = names.IDEMPOTENCY_KEY.lower()
_NOT_BEFORE = names.NOT_BEFORE.lower()


class Steered(Exception):
    """The message must not be answered: a reply would go where the caller has no right to send.

    `str()` is the reason for the trail; there is nobody to tell.
    """


class Call(msgspec.Struct, frozen=True):
    """A request that may be answered: with `problem`, where there is one.

    `deadline_ms` is absolute, None when the caller gave none.
    """

    agent: str
    caller: str
    operation: str
    reply: str
    payload: bytes
    trace: Trace
    deadline_ms: int | None
    problem: A2AError | None = None
    last_event: int | None = None
    """In SubscribeToTask: the last update that the caller has."""
    extensions: str = ""
    """URIs of the extensions that the caller declares, as they were sent."""
    chain: str = ""
    """As it was sent: see `bus.requests.chain`."""
    idempotency_key: str = ""
    """As it was sent, with a message that begins a task: calls of one caller with the same key are one task."""
    not_before_ms: int | None = None
    """Of a durable task: when it may be begun, absolute."""
    budget: Decimal | None = None
    """What the work on it may spend, in US dollars; None when the caller set no limit."""
    is_due: bool = False
    """It was put off and is here again: it may be begun whatever this machine's clock says."""


def read_request(message: Msg) -> Call:
    """Decide whether a core request may be answered at all; what else is wrong with it is the call's `problem`.

    Raises:
        Steered: it must not be answered.
        InvalidSubject: the subject is not a request's (cannot happen behind this product's permissions).
    """
    subject = _request(message.subject)
    headers = message.lowered
    _refuse_jetstream(headers)
    if not message.reply:
        raise Steered("the request names no reply subject")
    if not _belongs_to(message.reply, subject.caller, subject.agent):
        raise Steered(f"the reply subject does not belong to {subject.caller}")
    problem, budget = _problem_of(headers), None
    try:
        budget = _amount(headers)
    except InvalidArgument as error:
        problem = problem or error
    return Call(
        subject.agent, subject.caller, subject.operation, message.reply, message.data, continued(headers),
        _number(headers.get(_DEADLINE)), problem, _number(headers.get(_LAST_EVENT)),
        headers.get(_EXTENSIONS, ""), headers.get(_CHAIN, ""), idempotency_key=headers.get(_IDEMPOTENCY_KEY, ""),
        budget=budget,
    )  # fmt: skip


def read_task(message: Msg) -> Call:
    """The same for a durable task. Tasks are pulled, so they keep the subject that only the caller can publish.

    Raises:
        Steered: it was put into the stream by steering the server; it is not a task.
        A2AError: it is a task of that caller, but cannot be read.
    """
    subject = Task.parse(message.subject)
    headers = message.lowered
    _refuse_jetstream(headers)
    problem = _problem_of(headers)
    if problem:
        raise problem
    return Call(
        subject.agent, subject.caller, "SendMessage", "", message.data, continued(headers),
        _number(headers.get(_DEADLINE)), extensions=headers.get(_EXTENSIONS, ""), chain=headers.get(_CHAIN, ""),
        not_before_ms=_not_before(headers.get(_NOT_BEFORE)), budget=_amount(headers),
    )  # fmt: skip


def _problem_of(headers: dict[str, str]) -> A2AError | None:
    """What is malformed, or of another protocol version: to be sent to the caller."""
    if MALFORMED in headers:
        return InvalidArgument(f"malformed headers: {headers[MALFORMED]}")
    version = headers.get(_VERSION, "")
    if version == PROTOCOL_VERSION:
        return None
    said = f"is {version!r}" if version else "is missing"
    return VersionNotSupported(f"header {names.A2A_VERSION} {said}; send {names.A2A_VERSION}: {PROTOCOL_VERSION}")


def reply_problem(message: Msg) -> A2AError | None:
    """Why an answer that arrived on one of our reply subjects cannot be believed; None when it can."""
    if message.block == PLAIN_ANSWER:
        return None
    headers = message.lowered
    if not names.JETSTREAM_DELIVERY_HEADERS.isdisjoint(headers):
        return InvalidArgument("the answer carries headers of a JetStream delivery")
    return _problem_of(headers)


def _refuse_jetstream(headers: dict[str, str]) -> None:
    if not names.JETSTREAM_DELIVERY_HEADERS.isdisjoint(headers):
        marks = ", ".join(sorted(names.JETSTREAM_DELIVERY_HEADERS & headers.keys()))
        raise Steered(f"the message carries headers of a JetStream delivery: {marks}")


def _belongs_to(reply: str, caller: str, agent: str) -> bool:
    return reply.startswith(_places_of(caller, agent)) and "*" not in reply and ">" not in reply and " " not in reply


@lru_cache(maxsize=1024)
def _places_of(caller: str, agent: str) -> tuple[str, str]:
    """Where answers of `agent` to `caller` may go: with the library, with a plain tool."""
    return f"a2a.v1.rep.{caller}.{agent}.", f"{names.tool_inbox_prefix(caller)}."


def _not_before(value: str | None) -> int | None:
    """Unlike a deadline it is not left out when it cannot be read: the task would begin too early.

    Raises:
        InvalidArgument: it is no time.
    """
    number = _number(value)
    if value is not None and number is None:
        raise InvalidArgument(
            f"header {names.NOT_BEFORE} is no time: send milliseconds since the Unix epoch, digits only"
        )
    return number


def _amount(headers: dict[str, str]) -> Decimal | None:
    """What may be spent. It is not left out when it cannot be read: too much would be spent.

    Raises:
        InvalidArgument: it is no amount.
    """
    value = headers.get(_BUDGET)
    return None if value is None else amount_of(value, f"header {names.BUDGET}")


_request = lru_cache(maxsize=1024)(Request.parse)
"""Few callers ask for few operations, again and again."""


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= 15 else None


def read_answer[T](message: Msg, answer: type[T]) -> T:
    """What an agent answered, as an `answer`.

    Raises:
        A2AError: the error that it answered with; InvalidAgentResponse when it cannot be read.
    """
    if message.block != PLAIN_ANSWER and message.headers.get(names.SERVICE_ERROR_CODE):
        try:
            body = msgspec.json.decode(message.data, type=dict[str, Any])
        except UNREADABLE:
            raise InvalidAgentResponse("the agent answered with an error that cannot be read") from None
        raise error_from_body(body)
    try:
        return protojson.decode(message.data, answer)
    except A2AError as error:
        raise InvalidAgentResponse(f"the agent's answer cannot be read: {error}") from None
