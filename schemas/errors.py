"""Errors that travel, and errors about what travelled.

    AgentbusError
    ├── InvalidSubject            a token or subject that is not plain: the sender's fault
    ├── InvalidDocument           a file, vote or proposal that cannot be read: its author's fault
    ├── UnknownOutcome            nobody answered whether it was stored or done: look before repeating
    └── A2AError                  an error object on the wire; `code` is an HTTP number
        ├── InvalidArgument  400      ├── TaskNotFound                  404
        ├── PermissionDenied 403      ├── TaskNotCancelable             400
        ├── DeadlineExceeded 408      ├── PushNotificationNotSupported  400
        ├── PayloadTooLarge  413      ├── UnsupportedOperation          400
        ├── RateLimited      429      ├── ContentTypeNotSupported       400
        ├── Internal         500      ├── InvalidAgentResponse          500
        ├── Unavailable      503      ├── ExtendedAgentCardNotConfigured 400
        ├── LoopDetected     409      ├── ExtensionSupportRequired      400
        ├── PartNotFound     404      └── VersionNotSupported           400
        ├── IdempotencyKeyReused 409
        └── BudgetExceeded   402

Source: A2A v1.0 §3.3.2 and §11 (HTTP+JSON error bodies, `google.rpc.Status` with `ErrorInfo`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec

from schemas.redaction import REGISTERED

A2A_DOMAIN = "a2a-protocol.org"
OWN_DOMAIN = "agentbus"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes of others: not JSON or of another form, not UTF-8, nested too deep."""


class AgentbusError(Exception):
    """The root of what this product raises on purpose; `str()` is one sentence of advice, without registered secrets."""

    def __init__(self, *words: object) -> None:
        # what others wrote is in many messages, and each of them may reach a caller, a log or a terminal
        super().__init__(*(_without_secrets(word) if isinstance(word, str) else word for word in words))


def _without_secrets(text: str) -> str:
    return REGISTERED.redacted([text])[0]


class InvalidSubject(AgentbusError, ValueError):
    """A subject or token is not of the declared form."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a file: where, at which key, what, and what to do. `line` counts from 1; 0: unknown."""

    file: str
    line: int
    key: str
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.message) if part)


class InvalidDocument(AgentbusError, ValueError):
    """A document a person or a program wrote cannot be accepted; the message says where and why.

    `problems` has the same in parts, for a file that people write; a line of the message each.
    """

    problems: tuple[Problem, ...] = ()

    @classmethod
    def because(cls, problems: Sequence[Problem]) -> InvalidDocument:
        """The refusal that names all of these."""
        error = cls("\n".join(str(problem) for problem in problems))
        error.problems = tuple(problems)
        return error


class UnknownOutcome(AgentbusError):
    """The other side may or may not have acted. Read back before doing it again."""


class FieldViolation(msgspec.Struct, frozen=True):
    """One bad field: `field` is the path in the document (`message.parts[0].data.text`)."""

    field: str
    description: str


class A2AError(AgentbusError):
    """An error that has a place in the protocol.

    `fault` says who must change something; `retryable` whether the same request may succeed later.
    """

    code: ClassVar[int] = 500
    status: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "INTERNAL"
    domain: ClassVar[str] = OWN_DOMAIN
    fault: ClassVar[Literal["caller", "responder", "environment"]] = "responder"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, violations: tuple[FieldViolation, ...] = (), **metadata: str) -> None:
        super().__init__(message)
        self.message = str(self.args[0])
        self.violations = violations
        self.metadata = metadata

    def to_body(self) -> dict[str, Any]:
        """The `{"error": …}` object of the HTTP+JSON binding."""
        info: dict[str, Any] = {"@type": _ERROR_INFO, "reason": self.reason, "domain": self.domain}
        if self.metadata:
            info["metadata"] = self.metadata
        details = [info]
        if self.violations:
            details.append({"@type": _BAD_REQUEST, "fieldViolations": msgspec.to_builtins(self.violations)})
        body = {"code": self.code, "status": self.status, "message": self.message, "details": details}
        return {"error": body}


class InvalidArgument(A2AError):
    """The request cannot be read, or a field has a wrong type or value."""

    code, status, reason, fault = 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "caller"


class PermissionDenied(A2AError):
    """The caller's identity may not do this."""

    code, status, reason, fault = 403, "PERMISSION_DENIED", "PERMISSION_DENIED", "caller"


class DeadlineExceeded(A2AError):
    """The caller's deadline passed before there was an answer; work that was running has been cancelled."""

    code, status, reason, fault, retryable = (
        408,
        "DEADLINE_EXCEEDED",
        "DEADLINE_EXCEEDED",
        "environment",
        True,
    )


class PayloadTooLarge(A2AError):
    """The payload with its headers is over the server's limit."""

    code, status, reason, fault = 413, "OUT_OF_RANGE", "PAYLOAD_TOO_LARGE", "caller"


class RateLimited(A2AError):
    """The caller sends too fast; `retry_after_s` in the metadata says when to try again."""

    code, status, reason, fault, retryable = 429, "RESOURCE_EXHAUSTED", "RATE_LIMITED", "caller", True


class Internal(A2AError):
    """The agent failed. Its log has the details; the caller gets none, they may hold secrets."""


class Unavailable(A2AError):
    """Nobody answers for that agent now: it is down, draining, overloaded, or does not exist."""

    code, status, reason, fault, retryable = 503, "UNAVAILABLE", "UNAVAILABLE", "environment", True


class LoopDetected(A2AError):
    """The agent is asked in the course of its own work, or after too many others: repeating it changes nothing."""

    code, status, reason, fault = 409, "ABORTED", "LOOP_DETECTED", "caller"


class PartNotFound(A2AError):
    """The content of a large part has expired, or was never stored as a whole: the sender has to send it again."""

    code, status, reason, fault = 404, "NOT_FOUND", "PART_NOT_FOUND", "caller"


class IdempotencyKeyReused(A2AError):
    """The key stands for a task that was begun with another message: take a new key."""

    code, status, reason, fault = 409, "ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED", "caller"


class BudgetExceeded(A2AError):
    """The work would cost more than the caller, or the agent's file, lets it: more of that, or less work, is needed."""

    code, status, reason, fault = 402, "FAILED_PRECONDITION", "BUDGET_EXCEEDED", "caller"


class TaskNotFound(A2AError):
    """No task of that id belongs to this caller."""

    code, status, reason, domain, fault = 404, "NOT_FOUND", "TASK_NOT_FOUND", A2A_DOMAIN, "caller"


class TaskNotCancelable(A2AError):
    """The task has already ended."""

    code, status, domain, fault = 400, "FAILED_PRECONDITION", A2A_DOMAIN, "caller"
    reason = "TASK_NOT_CANCELABLE"


class PushNotificationNotSupported(A2AError):
    """This agent's card does not offer push notifications."""

    code, status, domain, fault = 400, "FAILED_PRECONDITION", A2A_DOMAIN, "caller"
    reason = "PUSH_NOTIFICATION_NOT_SUPPORTED"


class UnsupportedOperation(A2AError):
    """The operation does not exist here, or not in the task's state."""

    code, status, domain, fault = 400, "FAILED_PRECONDITION", A2A_DOMAIN, "caller"
    reason = "UNSUPPORTED_OPERATION"


class ContentTypeNotSupported(A2AError):
    """A part's media type is not among the skill's input modes, or none of its output modes is accepted by the caller."""

    code, status, domain, fault = 400, "INVALID_ARGUMENT", A2A_DOMAIN, "caller"
    reason = "CONTENT_TYPE_NOT_SUPPORTED"


class InvalidAgentResponse(A2AError):
    """The agent answered with something that its own card forbids."""

    code, status, reason, domain = 500, "INTERNAL", "INVALID_AGENT_RESPONSE", A2A_DOMAIN


class ExtendedAgentCardNotConfigured(A2AError):
    """The agent has no extended card."""

    code, status, domain, fault = 400, "FAILED_PRECONDITION", A2A_DOMAIN, "caller"
    reason = "EXTENDED_AGENT_CARD_NOT_CONFIGURED"


class ExtensionSupportRequired(A2AError):
    """The card requires an extension that the caller did not declare."""

    code, status, domain, fault = 400, "FAILED_PRECONDITION", A2A_DOMAIN, "caller"
    reason = "EXTENSION_SUPPORT_REQUIRED"


class VersionNotSupported(A2AError):
    """`A2A-Version` is missing or is not 1.0."""

    code, status, domain, fault = 400, "FAILED_PRECONDITION", A2A_DOMAIN, "caller"
    reason = "VERSION_NOT_SUPPORTED"


WIRE_ERRORS: dict[str, type[A2AError]] = {
    error.reason: error
    for error in (
        InvalidArgument, PermissionDenied, DeadlineExceeded, PayloadTooLarge, RateLimited, Internal, Unavailable,
        LoopDetected, PartNotFound, IdempotencyKeyReused, BudgetExceeded,
        TaskNotFound, TaskNotCancelable, PushNotificationNotSupported, UnsupportedOperation,
        ContentTypeNotSupported, InvalidAgentResponse, ExtendedAgentCardNotConfigured,
        ExtensionSupportRequired, VersionNotSupported,
    )
}  # fmt: skip


def error_from_body(body: dict[str, Any]) -> A2AError:
    """The error that a responder sent, as the class that its `reason` names; `Internal` when unknown. Never raises."""
    error = body.get("error")
    if not isinstance(error, dict):
        return Internal("the responder sent an error without an error object")
    details = {str(d.get("@type")): d for d in reversed(_objects(error.get("details")))}
    info, bad = details.get(_ERROR_INFO, {}), details.get(_BAD_REQUEST, {})
    violations = tuple(
        FieldViolation(str(v.get("field", "")), str(v.get("description", "")))
        for v in _objects(bad.get("fieldViolations"))
    )
    kind = WIRE_ERRORS.get(str(info.get("reason")), Internal)
    found = kind(str(error.get("message", "")), violations=violations)
    metadata = info.get("metadata")
    if isinstance(metadata, dict):
        found.metadata = {str(key): str(value) for key, value in metadata.items()}
    return found


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
