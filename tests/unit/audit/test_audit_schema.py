"""Audit events as bytes."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.audit import (
    CATALOGUE,
    GENESIS,
    AuditEvent,
    EventData,
    batch_payload,
    decode_event,
    digest,
    encode_event,
    pre_authentication_encoding,
    severity_text,
)

TEXT = st.text(max_size=12)
PLAIN = TEXT | st.integers(-(2**53), 2**53) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
OPTIONAL = st.just(msgspec.UNSET) | TEXT
EVENTS = st.builds(
    AuditEvent,
    id=TEXT,
    source=TEXT,
    type=st.sampled_from([row.name for row in CATALOGUE.values()]),
    time=TEXT,
    sequence=st.integers(1, 2**53),
    prev=st.just(GENESIS),
    epoch=TEXT,
    severitynumber=st.sampled_from([9, 13, 17]),
    severitytext=TEXT,
    data=st.builds(
        EventData, actor=TEXT, action=TEXT, outcome=st.sampled_from(["success", "denied"]), resource=TEXT, reason=TEXT, size=st.none() | st.integers(0, 2**40),
        metadata=st.dictionaries(TEXT, PLAIN, max_size=3),
    ),
    subject=OPTIONAL,
    traceparent=OPTIONAL,
    correlationid=OPTIONAL,
    causationid=OPTIONAL,
)  # fmt: skip
FIXED_DATA = {"actor": "a", "action": "b", "outcome": "success"}
FIXED = {
    "id": "i", "source": "s", "type": "agentbus.request.received.v1", "time": "t", "sequence": 1, "prev": GENESIS,
    "epoch": "e", "severitynumber": 9, "severitytext": "INFO", "data": FIXED_DATA,
    "specversion": "1.0",
}  # fmt: skip


@given(EVENTS)
def test_an_event_survives_its_bytes(event: AuditEvent) -> None:
    """decode(encode(x)) == x."""
    assert decode_event(encode_event(event)) == event


@given(EVENTS)
def test_the_bytes_of_an_event_are_fixed(event: AuditEvent) -> None:
    """The digest covers the bytes, so reading and writing again must give the same ones."""
    data = encode_event(event)
    assert encode_event(decode_event(data)) == data
    assert digest(data) == digest(encode_event(event))


@given(EVENTS)
def test_an_event_is_a_cloudevent(event: AuditEvent) -> None:
    """Attributes are lower case letters and digits, the required ones are there, none is null."""
    attributes = json.loads(encode_event(event))
    assert {"id", "source", "type", "specversion"} <= attributes.keys()
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in attributes)
    assert None not in attributes.values()
    assert msgspec.to_builtins(event)["type"] == event.type


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"{}", json.dumps(FIXED | {"specversion": "0.3"}).encode(),
        json.dumps(FIXED | {"data": FIXED_DATA | {"outcome": "maybe"}}).encode(),
        json.dumps(FIXED | {"data": FIXED_DATA | {"metadata": {"x": {}}}}).encode(),
        json.dumps(FIXED).encode().replace(b'"s"', b'"\xff"'),
        json.dumps(FIXED).encode()[:-1] + b', "new": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_bytes_that_are_no_event_raise_one_error(data: bytes) -> None:
    """A reader of the trail needs to catch DecodeError only, whatever a producer wrote."""
    with pytest.raises(msgspec.DecodeError):
        decode_event(data)


def test_a_newer_producers_event_can_be_read() -> None:
    """Unknown attributes and unknown types are tolerated."""
    event = decode_event(json.dumps(FIXED | {"type": "agentbus.moon.landed.v9", "newattribute": 1}).encode())
    assert event.short_type == "agentbus.moon.landed.v9"


def test_the_catalogue_is_consistent() -> None:
    """Every short name leads to its row and back, and every severity has its OpenTelemetry name."""
    for short, row in CATALOGUE.items():
        event = decode_event(json.dumps(FIXED | {"type": row.name}).encode())
        assert event.short_type == short
        assert severity_text(row.severity) in {"INFO", "WARN", "ERROR"}
        assert row.meaning


def test_a_signature_covers_type_lengths_and_payload() -> None:
    """DSSE's encoding, as its specification gives it."""
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_batch_signatures_cover_every_fact() -> None:
    """Another subject, digest, number of messages or of events in one, or place is another payload."""
    one = batch_payload("audit.agent.a.0.request", "d", [1, 1], 7)
    others = [
        batch_payload("audit.agent.b.0.request", "d", [1, 1], 7),
        batch_payload("audit.agent.a.0.request", "e", [1, 1], 7),
        batch_payload("audit.agent.a.0.request", "d", [1, 1, 1], 7),
        batch_payload("audit.agent.a.0.request", "d", [2, 1], 7),
        batch_payload("audit.agent.a.0.request", "d", [1, 2], 7),
        batch_payload("audit.agent.a.0.request", "d", [1, 1], 8),
    ]
    assert len({one, *others}) == 7
