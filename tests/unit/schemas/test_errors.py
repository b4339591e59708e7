"""Errors on the wire: what one side raises, the other side gets as the same class."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.errors import WIRE_ERRORS, A2AError, AgentbusError, FieldViolation, Internal, error_from_body
from schemas.redaction import REGISTERED

INFO = "type.googleapis.com/google.rpc.ErrorInfo"
BAD = "type.googleapis.com/google.rpc.BadRequest"


def body(**error: Any) -> dict[str, Any]:
    """An error body."""
    return {"error": error}


@pytest.mark.parametrize("kind", WIRE_ERRORS.values())
def test_an_error_survives_the_wire(kind: type[A2AError]) -> None:
    """Class, message, violations and metadata are the same after to_body, JSON and error_from_body."""
    violations = (FieldViolation("message.parts[0]", "no text"), FieldViolation("id", "missing"))
    sent = kind("it went wrong", violations=violations, retry_after_s="3", task="task-1")
    got = error_from_body(json.loads(json.dumps(sent.to_body())))
    assert type(got) is kind
    assert (got.message, got.violations, got.metadata) == (sent.message, sent.violations, sent.metadata)


def test_every_error_of_the_protocol_can_be_received() -> None:
    """No class is missing from the table that receivers use, and no two share a reason; others of ours travel as one of them."""
    ours = {kind for kind in A2AError.__subclasses__() if kind.__module__ != A2AError.__module__}
    assert set(WIRE_ERRORS.values()) == set(A2AError.__subclasses__()) - ours
    assert {kind.reason for kind in ours} <= set(WIRE_ERRORS)
    assert all(reason == kind.reason for reason, kind in WIRE_ERRORS.items())


@pytest.mark.parametrize("kind", WIRE_ERRORS.values())
def test_the_body_is_the_protocols_form(kind: type[A2AError]) -> None:
    """`code` is an HTTP error number; the details name reason and domain."""
    error = kind("m").to_body()["error"]
    assert 400 <= error["code"] <= 599
    assert error["details"] == [{"@type": INFO, "reason": kind.reason, "domain": kind.domain}]


@pytest.mark.parametrize(
    "received",
    [
        {},
        {"error": None},
        {"error": "text"},
        body(),
        body(message=5, details=7),
        body(message="m", details=["x", 1, None]),
        body(message="m", details=[{"@type": INFO, "reason": "NEW_REASON"}]),
        body(message="m", details=[{"@type": INFO, "reason": ["x"], "metadata": "x"}]),
        body(message="m", details=[{"@type": BAD, "fieldViolations": 3}]),
        body(message="m", details=[{"@type": BAD, "fieldViolations": [3, {"field": 1}]}]),
    ],
)
def test_a_body_of_another_form_is_an_internal_error(received: dict[str, Any]) -> None:
    """Whatever a responder sends as an error, the caller gets an error of ours, never an exception of Python's."""
    assert type(error_from_body(received)) is Internal


def test_metadata_may_have_any_key() -> None:
    """A responder's keys never collide with parameters of ours."""
    metadata = {"self": "1", "message": "2", "violations": "3"}
    got = error_from_body(body(message="m", details=[{"@type": INFO, "reason": "INTERNAL", "metadata": metadata}]))
    assert got.metadata == metadata
    assert got.message == "m"


def test_no_message_holds_a_secret_of_this_process() -> None:
    """Whatever others wrote into it: no caller, no log and no `repr` gets a registered value."""
    REGISTERED.add("an-odd-v4lue-of-a-key")
    error = Internal("the provider says: an-odd-v4lue-of-a-key is wrong")
    assert error.message == str(error) == "the provider says: [redacted] is wrong"
    assert "v4lue" not in f"{error!r} {error.to_body()} {AgentbusError('no an-odd-v4lue-of-a-key')!r}"
