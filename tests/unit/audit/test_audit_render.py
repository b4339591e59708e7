"""Lines for people, and text that can do no harm in them; trust files; producers' names."""

from __future__ import annotations

import datetime
import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.audit.formats.render import render_event, render_record
from bus.audit.producer import Producer
from bus.audit.read import Record
from bus.audit.trust import dump_trust, load_trust
from bus.credentials import create_credential
from schemas.audit import DOMAINS, GENESIS, AuditEvent, EventData, encode_event
from schemas.errors import InvalidDocument, InvalidSubject
from schemas.text import harmless

EVENT = AuditEvent(
    id="01",
    source="urn:agentbus:agent:greeter",
    type="agentbus.request.answered.v1",
    time="2026-11-20T09:14:03.120Z",
    sequence=1,
    prev=GENESIS,
    epoch="e",
    severitynumber=9,
    severitytext="INFO",
    data=EventData(
        actor="ops", action="SendMessage", outcome="success", duration_ms=12.4, size=120, metadata={"tokens": 7}
    ),
)


def with_data(**changes: object) -> AuditEvent:
    return msgspec.structs.replace(EVENT, data=msgspec.structs.replace(EVENT.data, **changes))


def test_one_line_says_when_who_what_and_how_it_went() -> None:
    """Time, producer, kind, who asked for what, outcome and duration, then the facts."""
    line = render_event(EVENT)
    assert line.split() == [
        "09:14:03.120",
        "greeter",
        "request.answered",
        "ops",
        "→",
        "SendMessage",
        "ok",
        "12",
        "ms",
        "120",
        "B",
        "tokens=7",
    ]
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert render_event(EVENT, zone=zone).startswith("11:14:03.120  greeter")


def test_a_refusal_shows_its_reason() -> None:
    """What did not succeed says why."""
    assert "denied: too many requests" in render_event(with_data(outcome="denied", reason="too many requests"))


def test_markup_gets_harmless_pieces() -> None:
    """Colours are the caller's; what is coloured can no longer carry any of its own."""
    line = render_event(with_data(action="\x1b[31mred"), markup=lambda piece, text: f"<{piece}>{text}</>")
    assert "<action>\\x1b[31mred</>" in line
    assert "<outcome>ok 12 ms</>" in line


@given(st.text(), st.text())
def test_no_event_can_break_its_line(action: str, reason: str) -> None:
    """Whatever an event says, it is one line of printable text."""
    event = with_data(actor=reason, action=action, outcome="failure", reason=reason, metadata={action: reason})
    line = render_event(msgspec.structs.replace(event, source=action, type=reason, time=action))
    assert not [char for char in line if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]


def test_what_is_not_an_event_is_shown_as_such() -> None:
    """A record that cannot be read has a line too."""
    record = Record(7, "2026-11-20T09:14:03.120456789Z", "audit.agent.x\x1b.0.y", {}, b"{}")
    assert render_record(record) == "09:14:03.120  not an audit event (2 bytes) on audit.agent.x\\x1b.0.y"
    good = Record(8, "", "", {}, encode_event(EVENT), problem="header \u202ex")
    assert render_record(good).endswith("header \\u202ex")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcode, 日本語, 👍", "plain text, ünïcode, 日本語, 👍"),
        ("\x1b[2J\r\n\t\x00\x7f\x9b", r"\x1b[2J\x0d\x0a\x09\x00\x7f\x9b"),
        ("a\u202eb\u2066c\u200bd\u200de\ufefff", r"a\u202eb\u2066c\u200bd\u200de\ufefff"),
        ("\u2028\u2029\xad\u034f\u3164\u2800\ufe0f", r"\u2028\u2029\xad\u034f\u3164\u2800\ufe0f"),
        ("\U000e0041\ud800\ue000", r"\U000e0041\ud800\ue000"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
    ],
)
def test_what_acts_or_hides_is_spelt_out(text: str, shown: str) -> None:
    """Control, bidirectional, zero-width and invisible characters are escaped; writing is not."""
    assert harmless(text) == shown


def test_kept_characters_stay() -> None:
    """A caller that shows several lines keeps the line ends."""
    assert harmless("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


def test_a_trust_file_is_read_back(tmp_path: Path) -> None:
    """What provisioning writes is what auditors read."""
    key = create_credential(tmp_path / "a.nk").public_key()
    producers = {"audit.agent.greeter.": (key,), "audit.sys.applier.": (key, key)}
    (tmp_path / "trust.json").write_bytes(dump_trust(producers))
    assert load_trust(tmp_path / "trust.json") == producers


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (None, "no trust file"),
        (b"{", "not a trust file"),
        (b'{"producers":{},"more":1}', "not a trust file"),
        (b'{"producers":{"audit.agent.>":[]}}', "subjects start"),
        (b'{"producers":{"audit.agent.greeter":[]}}', "subjects start"),
        (b'{"producers":{"audit.agent.greeter.":["SUSEED"]}}', "not a public user nkey"),
    ],
)
def test_a_bad_trust_file_is_refused_with_advice(tmp_path: Path, content: bytes | None, advice: str) -> None:
    """An auditor is told what is wrong with the file instead of trusting half of it."""
    path = tmp_path / "trust.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidDocument, match=advice):
        load_trust(path)


@pytest.mark.parametrize("is_agent", [True, False])
def test_a_subject_names_its_producer(is_agent: bool) -> None:
    """Every subject that a producer writes to leads back to it, and to nobody else."""
    producer = Producer("approvals", "2", is_agent=is_agent)
    assert {Producer.of_subject(producer.subject(domain)) for domain in DOMAINS} == {producer}
    assert all(producer.subject(domain).startswith(producer.slot_prefix) for domain in DOMAINS)
    assert producer.slot_prefix.startswith(producer.prefix)


@pytest.mark.parametrize("name", ["A", "a.b", "*", ">", "", "a" * 26])
def test_a_producer_has_a_plain_name(name: str) -> None:
    """A name that could reach another's subjects is refused."""
    with pytest.raises(InvalidSubject):
        Producer(name, "0", is_agent=True)
