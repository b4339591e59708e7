"""What may be believed of a message that arrived: the rules that stop a requester from steering others.

A requester chooses the reply subject, and the server itself answers JetStream requests to whatever reply
subject was named. So a request is served only when its reply subject belongs to its own caller, and
nothing is accepted that carries the marks of a JetStream answer. Pure functions, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus.connection import Msg
from bus.headers import MALFORMED, lowered
from bus.trace import Trace, continued
from schemas import names
from schemas.a2a import PROTOCOL_VERSION
from schemas.errors import A2AError, InvalidArgument, VersionNotSupported
from schemas.subjects import Request, Task

_VERSION = names.A2A_VERSION.lower()
_DEADLINE = names.DEADLINE.lower()
_LAST_EVENT = names.LAST_EVENT.lower()


class Steered(Exception):
    """The message must not be answered: a reply would go where the caller has no right to send.

    `str()` is the reason for the trail; there is nobody to tell.
    """


@dataclass(frozen=True, slots=True)
class Call:
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


def read_request(message: Msg) -> Call:
    """Decide whether a core request may be answered at all; what else is wrong with it is the call's `problem`.

    Raises:
        Steered: it must not be answered.
        InvalidSubject: the subject is not a request's (cannot happen behind this product's permissions).
    """
    subject = Request.parse(message.subject)
    headers = lowered(message.headers)
    _refuse_jetstream(headers)
    if not message.reply:
        raise Steered("the request names no reply subject")
    if not _belongs_to(message.reply, subject.caller, subject.agent):
        raise Steered(f"the reply subject does not belong to {subject.caller}")
    return Call(
        subject.agent, subject.caller, subject.operation, message.reply, message.data, continued(headers),
        _deadline(headers), _problem_of(headers), _last_event(headers),
    )  # fmt: skip


def read_task(message: Msg) -> Call:
    """The same for a durable task. Tasks are pulled, so they keep the subject that only the caller can publish.

    Raises:
        Steered: it was put into the stream by steering the server; it is not a task.
        A2AError: it is a task of that caller, but cannot be read.
    """
    subject = Task.parse(message.subject)
    headers = lowered(message.headers)
    _refuse_jetstream(headers)
    problem = _problem_of(headers)
    if problem:
        raise problem
    return Call(
        subject.agent, subject.caller, "SendMessage", "", message.data, continued(headers), _deadline(headers)
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
    headers = lowered(message.headers)
    if names.JETSTREAM_DELIVERY_HEADERS & headers.keys():
        return InvalidArgument("the answer carries headers of a JetStream delivery")
    return _problem_of(headers)


def _refuse_jetstream(headers: dict[str, str]) -> None:
    marks = names.JETSTREAM_DELIVERY_HEADERS & headers.keys()
    if marks:
        raise Steered(f"the message carries headers of a JetStream delivery: {', '.join(sorted(marks))}")


def _belongs_to(reply: str, caller: str, agent: str) -> bool:
    mine = (f"a2a.v1.rep.{caller}.{agent}.", f"{names.tool_inbox_prefix(caller)}.")
    return reply.startswith(mine) and not any(mark in reply for mark in "*> ")


def _last_event(headers: dict[str, str]) -> int | None:
    value = headers.get(_LAST_EVENT, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 15 else None


def _deadline(headers: dict[str, str]) -> int | None:
    value = headers.get(_DEADLINE, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 15 else None
