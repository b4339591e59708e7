"""A line of JSON for every record of the trail, whatever somebody wrote there."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.cli.audit.replay import Shape, _print_all
from agents.cli.audit.tail import line_of
from bus.audit.read import Record
from schemas.audit import encode_event
from tests.unit.audit.test_audit_tree import TIME, an_event

RECORD = Record(1, TIME, "audit.agent.greeter.0.request", {}, b"")


@given(st.binary(max_size=60) | st.sampled_from([b'{"a":1}\n{"b":2}', b'"\xff"', b"}", b"[" * 2000]))
def test_what_is_no_event_cannot_pass_for_one(payload: bytes) -> None:
    """Bytes that are no event are one line, with no event in it, and can be had back."""
    line = line_of(RECORD._replace(payload=payload), as_json=True)
    assert "\n" not in line
    found = json.loads(line)
    assert found["event"] is None
    assert base64.b64decode(found["unreadable"]) == payload


def test_an_event_is_one_line_however_it_was_written() -> None:
    """An event with line breaks between its members is printed as one line; one with forged headers is not printed."""
    event = an_event("request.received", "greeter", "e1").event
    spread = json.dumps(json.loads(encode_event(event)), indent=2).encode()
    line = line_of(RECORD._replace(payload=spread), as_json=True)
    assert "\n" not in line
    assert json.loads(line)["event"] == json.loads(spread)
    forged = json.loads(line_of(RECORD._replace(payload=spread, problem="header Nats-Sequence"), as_json=True))
    assert (forged["event"], forged["problem"]) == (None, "header Nats-Sequence")


async def test_a_day_is_named_where_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines have the time of day; events of another day than today are headed by their date, and machines see none."""
    payload = encode_event(an_event("request.received", "greeter", "e1").event)
    records = [RECORD._replace(payload=payload, time=f"2020-01-{day}T07:00:00Z") for day in ("30", "30", "31")]

    async def events() -> AsyncIterator[Record]:
        for record in records:
            yield record

    await _print_all(events(), Shape())
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "request.received" not in line] == ["2020-01-30:", "2020-01-31:"]
    assert len(lines) == 5
    await _print_all(events(), Shape(limit=2, is_json=True))
    assert len(capsys.readouterr().out.splitlines()) == 2
