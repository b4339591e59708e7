"""What is exported is what the formats' own specifications have names for, and nothing of an event is lost."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.audit.formats.export import COLUMNS, FORMATS, header_of, line_in
from bus.audit.formats.ocsf import ACTIVITIES, OTHER, place_of
from bus.audit.read import Reader, Record, events_of
from bus.audit.times import nanoseconds
from schemas import names
from schemas.audit import CATALOGUE, digest, encode_event
from tests.harness.fleet import bench
from tests.unit.audit.test_audit_tree import an_event

STORED = "2030-01-31T07:00:01.123456789Z"

# Names as OCSF 1.8 has them: attributes of every class, then of each class with those that it requires.
BASE = {
    "activity_id", "activity_name", "category_uid", "class_uid", "type_uid", "time", "severity_id", "severity",
    "status_id", "status", "status_detail", "message", "metadata", "duration", "unmapped", "actor",
}  # fmt: skip
REQUIRED = {"activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "metadata"}
CLASSES: dict[int, tuple[set[str], set[str]]] = {
    1008: ({"log_name"}, {"log_name", "log_provider"}),
    2004: ({"finding_info"}, {"finding_info", "is_alert", "resources"}),
    3002: ({"user", "service"}, {"user", "service"}),
    3004: ({"entity"}, {"entity", "comment"}),
    6002: ({"app"}, {"app"}),
    6003: ({"actor", "api", "src_endpoint"}, {"api", "src_endpoint", "dst_endpoint", "resources"}),
}
OBJECTS: dict[str, tuple[set[str], set[str]]] = {
    "metadata": (
        {"version", "product"},
        {
            "version", "product", "uid", "original_event_uid", "event_code", "sequence", "original_time", "logged_time",
            "log_name", "log_provider", "correlation_uid", "profiles",
        },
    ),
    "api": ({"operation"}, {"operation", "service"}),
    "entity": ({"uid"}, {"name", "uid", "type", "version"}),
    "finding_info": ({"uid"}, {"uid", "title", "desc", "created_time", "types"}),
    "app": ({"name", "vendor_name"}, {"name", "vendor_name", "uid"}),
}  # fmt: skip
CAPTIONS = {
    1008: {4: "Archive"}, 2004: {1: "Create"}, 3002: {1: "Logon", 2: "Logoff"},
    3004: {1: "Create", 2: "Read", 3: "Update"}, 6002: {3: "Start", 4: "Stop"}, 6003: {},
}  # fmt: skip

LOG_RECORD = {
    "timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "eventName", "body", "attributes",
    "traceId", "spanId", "flags",
}  # fmt: skip
TRACE, SPAN = "ab" * 16, "cd" * 8


def a_record(kind: str, **facts: Any) -> Record:
    one = an_event(kind, "greeter", "e1", "e0", **facts)
    domain = kind.split(".", maxsplit=1)[0]
    return Record(7, STORED, f"audit.agent.greeter.0.{domain}", {}, encode_event(one.event))


def exported(to: str, record: Record) -> Any:
    line = line_in(to, record)
    assert line is not None
    assert line.count(b"\n") == 1
    return json.loads(line)


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_every_type_is_an_event_of_ocsf(kind: str) -> None:
    """Each type has a class and an activity; every attribute is one of that class, and those it requires are there."""
    facts = {
        "reason": "why",
        "resource": "greeter/p-1",
        "duration_ms": 2.4,
        "size": 9,
        "metadata": {"tree": "t", "n": 1},
    }
    found = exported("ocsf", a_record(kind, **facts))
    needed, known = CLASSES[found["class_uid"]]
    assert REQUIRED | needed <= set(found) <= BASE | known
    assert found["category_uid"] == found["class_uid"] // 1000
    assert found["type_uid"] == found["class_uid"] * 100 + found["activity_id"]
    assert found["activity_id"] == OTHER or found["activity_name"] == CAPTIONS[found["class_uid"]][found["activity_id"]]
    assert (found["time"], found["metadata"]["logged_time"]) == (1896073200000, 1896073201123)
    assert found["metadata"]["version"] == "1.8.0"
    for name, (wanted, attributes) in OBJECTS.items():
        if name in found:
            assert wanted <= set(found[name]) <= attributes
    assert found["unmapped"]["metadata"] == {"tree": "t", "n": 1}
    assert found["unmapped"]["stream_sequence"] == 7
    assert found["status_detail"] == "why"
    assert place_of(kind).class_uid in ACTIVITIES


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_every_type_is_a_log_record_of_opentelemetry(kind: str) -> None:
    """The fields of the protocol's JSON: numbers of 64 bits as text, ids as hexadecimal, the producer as service."""
    record = a_record(kind, span="x", resource="openai/m", metadata={"input_tokens": 3, "ok": True, "cost": 0.5})
    payload = record.payload.replace(b'"span-x"', f'"00-{TRACE}-{SPAN}-01"'.encode())
    found = exported("otlp", record._replace(payload=payload))
    (resource_logs,) = found["resourceLogs"]
    (scope_logs,) = resource_logs["scopeLogs"]
    (log,) = scope_logs["logRecords"]
    assert set(found) | set(resource_logs) | set(scope_logs) == {
        "resourceLogs", "resource", "scopeLogs", "scope", "logRecords"
    }  # fmt: skip
    assert set(log) == LOG_RECORD
    assert (log["timeUnixNano"], log["observedTimeUnixNano"]) == ("1896073200000000000", "1896073201123456789")
    assert (log["traceId"], log["spanId"], log["flags"]) == (TRACE, SPAN, 1)
    assert {"key": "service.name", "value": {"stringValue": "greeter"}} in resource_logs["resource"]["attributes"]
    values = {attribute["key"]: attribute["value"] for attribute in log["attributes"]}
    assert values["agentbus.stream.sequence"] == {"intValue": "7"}
    assert values["agentbus.metadata.ok"] == {"boolValue": True}
    assert values["agentbus.metadata.cost"] == {"doubleValue": 0.5}
    assert (values.get("gen_ai.usage.input_tokens") == {"intValue": "3"}) == (kind == "llm.called")


def test_a_cell_is_no_formula_and_no_escape() -> None:
    """CSV has the columns that it says; what a spreadsheet would run or a terminal would obey is plain text."""
    hostile = a_record("request.refused", actor="=cmd|'/c calc'!A1", reason=' +1\x1b[2J,"\r\nx', metadata={"a": "-1"})
    text = (header_of("csv") + (line_in("csv", hostile) or b"")).decode()
    head, row = csv.reader(io.StringIO(text, newline=""))
    cells = dict(zip(head, row, strict=True))
    assert tuple(head) == COLUMNS
    assert cells["actor"] == "'=cmd|'/c calc'!A1"
    assert cells["reason"] == "' +1\\x1b[2J,\"\\x0d\\x0ax"
    assert (cells["stream_sequence"], cells["metadata"], cells["stored"]) == ("7", '{"a":"-1"}', STORED)


def test_what_is_no_event_is_not_exported() -> None:
    """Neither bytes that are no event, nor one on a subject that is not its own, become a line."""
    good = a_record("request.refused")
    assert line_in("ocsf", good) is not None
    for bad in (good._replace(payload=b"{}"), good._replace(subject="audit.agent.greeter.0.task")):
        assert [line_in(to, bad) for to in FORMATS] == [None] * len(FORMATS)


@given(st.text(), st.text(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(sorted(CATALOGUE)))
def test_every_event_is_one_line(text: str, other: str, number: float, kind: str) -> None:
    """Whatever is in an event, each format makes one line of it that can be read back."""
    facts = {"reason": text, "resource": other, "duration_ms": number, "metadata": {text[:5]: other, "n": number}}
    record = a_record(kind, **facts) if is_text(text + other) else a_record(kind)
    for to in ("cloudevents", "otlp", "ocsf"):
        exported(to, record)
    (row,) = csv.reader(io.StringIO((line_in("csv", record) or b"").decode(), newline=""))
    assert len(row) == len(COLUMNS)


def is_text(text: str) -> bool:
    """Whether it can be in JSON."""
    return not any(0xD800 <= ord(letter) < 0xE000 for letter in text)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2030-01-31T07:00:01.1Z", 1896073201100000000),
        ("2030-01-31T08:00:01.000000001+01:00", 1896073201000000001),
        ("1960-01-01T00:00:00Z", 0),
        ("soon", 0),
    ],
)
def test_times_keep_their_nanoseconds(time: str, expected: int) -> None:
    """All nine digits, of whatever zone; 0 where there is no time to be had."""
    assert nanoseconds(time) == expected


async def test_exported_cloudevents_are_the_bytes_that_were_chained(tmp_path: Path) -> None:
    """The digest of each exported line is what the next event of the slot names as `prev`, and the stored id."""
    async with bench(tmp_path) as running:
        audit = await running.audit("greeter")
        for number in range(40):
            audit.emit("request.received", action="a", size=number)
        await audit.confirm()
        audit.emit("task.changed", action="a")
        await audit.confirm()
        connection = await running.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor"))
        records = [event async for record in Reader(connection).records() for event in events_of(record)]
    lines = [line_in("cloudevents", record) or b"" for record in records]
    events = [json.loads(line) for line in lines]
    assert len(events) == 41
    for line, after in zip(lines, events[1:], strict=False):
        assert after["prev"] == digest(line.rstrip(b"\n"))
    assert base64.b16decode(events[1]["prev"].upper())
