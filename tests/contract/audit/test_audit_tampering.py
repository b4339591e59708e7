"""What a real server recorded, then changed by an attacker in every way we know: each is found, at its place."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bus.audit.emit import Audit
from bus.audit.packing import unpacked
from bus.audit.read import Reader
from bus.audit.verifying.verify import Report, verify
from bus.audit.writing.head import read_head
from schemas import names
from schemas.audit import digest
from tests.contract.audit.audit_server import AuditServer
from tests.tamper.changes import (
    APPROVALS,
    GREETER,
    PACKED,
    REGROUPED,
    TAMPERED,
    Recorded,
    at,
    dropped,
    edited,
    regrouped,
    renumbered,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    server = AuditServer(tmp_path_factory.mktemp("audit"), (GREETER, APPROVALS))
    server.start()
    try:
        await server.create_stream()
        audits = []
        for producer in server.producers:
            connection = await server.connect(producer.name)
            directory = server.root / "state" / producer.name
            audits.append(await Audit.open(connection, producer, server.signing(producer.name), directory))
        for number in range(10):
            for part in range(3):
                audits[number % 2].emit("request.received", action="SendMessage", reason=f"{number}.{part}")
            await audits[number % 2].confirm()
        for audit in audits:
            await audit.close()
        records = [record async for record in Reader(await server.connect("auditor")).records()]
        made = Recorded(records, server.trust, server.credential("stranger"))
        assert read_head(server.root / "state" / "greeter") is not None
        yield made
    finally:
        await server.close()


def test_the_recorded_trail_is_sound(recorded: Recorded) -> None:
    """What the tests below change was sound before; verification does not cry wolf."""
    report = verify(recorded.records, recorded.trust)
    assert (report.verdict, report.exit_code, report.events, report.slots) == ("sound", 0, 30, 2)


def located(report: Report) -> tuple[int, int]:
    """From where to where the first finding says that it is."""
    first = report.findings[0]
    return first.sequence, first.last or first.sequence


@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_is_found_at_its_place(recorded: Recorded, name: str) -> None:
    """Each change makes the verdict `tampered`, and the first finding is exactly where it was made."""
    change, place, words = TAMPERED[name]
    report = verify(change(list(recorded.records), recorded), recorded.trust)
    assert (report.verdict, report.exit_code) == ("tampered", 1)
    assert located(report) == place, report.findings
    assert words in " ".join(finding.problem for finding in report.findings if finding.sequence == place[0])


@pytest.mark.parametrize("sequence", range(1, 31))
def test_every_single_event_is_under_protection(recorded: Recorded, sequence: int) -> None:
    """No event can be changed, or left out with the rest closed up, without its place being named.

    Where an event is gone the next one stands. The last of a batch is what its signature is over; when the stream's last
    event is gone, those before it have no signature any more.
    """
    batch = (sequence - 1) // 3 * 3 + 1, (sequence + 2) // 3 * 3
    report = verify(at(sequence, edited)(list(recorded.records), recorded), recorded.trust)
    assert located(report) == (batch if sequence == batch[1] else (sequence, sequence))
    report = verify(dropped(sequence, sequence, closed=True)(list(recorded.records), recorded), recorded.trust)
    assert located(report) == (28 if sequence == 30 else sequence, sequence)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def packed_trail(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    """A trail of one batch of three events, one of 200 in a few messages, and one of three."""
    server = AuditServer(tmp_path_factory.mktemp("audit"), (GREETER,))
    server.start()
    try:
        await server.create_stream()
        directory = server.root / "state" / "greeter"
        audit = await Audit.open(await server.connect("greeter"), GREETER, server.signing("greeter"), directory)
        for count in (3, 200, 3):
            for number in range(count):
                audit.emit("request.received", action="SendMessage", size=number)
            await audit.confirm()
        await audit.close()
        records = [record async for record in Reader(await server.connect("auditor")).records()]
        yield Recorded(records, server.trust, server.credential("stranger"))
    finally:
        await server.close()


@pytest.mark.parametrize("name", REGROUPED)
def test_a_change_within_a_message_of_many_events_is_found(packed_trail: Recorded, name: str) -> None:
    """Each event in a message is protected as if it were one of its own, and the message's sequence is named."""
    assert len(packed_trail.records) < 30
    assert verify(packed_trail.records, packed_trail.trust).events == 206
    report = verify(regrouped(packed_trail.records, PACKED, REGROUPED[name]), packed_trail.trust)
    assert report.verdict == "tampered"
    assert located(report) == (PACKED, PACKED)


def test_an_event_cannot_be_moved_to_the_next_message(packed_trail: Recorded) -> None:
    """The same events in the same order under other sequences are not what was signed."""
    events = [list(unpacked(record.payload)) for record in packed_trail.records]
    moved = regrouped(packed_trail.records, PACKED, lambda e: e[:-1])
    moved = regrouped(moved, PACKED + 1, lambda e: [events[PACKED - 1][-1], *e])
    assert located(verify(moved, packed_trail.trust)) == (PACKED, PACKED)


def test_another_spelling_of_a_message_is_found(packed_trail: Recorded) -> None:
    """White space between the events of a message is a change too."""
    spaced = [
        record._replace(payload=(p := record.payload.replace(b"},{", b"}, {")), headers={**record.headers, names.MSG_ID: digest(p)})
        if record.sequence == PACKED else record
        for record in packed_trail.records
    ]  # fmt: skip
    assert verify(spaced, packed_trail.trust).first_bad == PACKED


def test_verification_can_begin_between_messages_of_many_events(packed_trail: Recorded) -> None:
    """From any sequence a sound trail is sound, and a later change is found."""
    last = packed_trail.records[-1].sequence
    for start in range(1, last + 1):
        rest = packed_trail.records[start - 1 :]
        assert verify(rest, packed_trail.trust, first_sequence=start).verdict == "sound"
        bad = [edited(record) if record.sequence == last else record for record in rest]
        assert verify(bad, packed_trail.trust, first_sequence=start).verdict == "tampered"


def test_a_cut_at_a_batch_is_seen_by_who_remembers(recorded: Recorded) -> None:
    """A tail cut between two batches verifies by itself; the producer's own head file shows that it is gone."""
    from bus.audit.writing.head import Head

    cut = recorded.records[:24]
    assert verify(cut, recorded.trust).verdict == "sound"
    last = recorded.records[26]
    head = Head(slot=GREETER.slot_prefix, counter=15, sha256=digest(last.payload), stream_sequence=27)
    assert verify(recorded.records, recorded.trust, [head]).verdict == "sound"
    report = verify(cut, recorded.trust, [head])
    assert (report.verdict, report.first_bad) == ("tampered", 25)
    replaced = Head(slot=GREETER.slot_prefix, counter=15, sha256="f" * 64, stream_sequence=27)
    assert verify(recorded.records, recorded.trust, [replaced]).first_bad == 27


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "٣", "", "1e3"])
@pytest.mark.parametrize("name", [names.SIGNATURE_AFTER, names.BATCH_SEQUENCE, names.SIGNATURE_PARTS])
def test_a_number_that_is_none_stops_nothing(recorded: Recorded, name: str, number: str) -> None:
    """What a header says in place of a number, however long: what is signed is found, what only helps is not needed."""
    changed = at(9, lambda r: r._replace(headers={**r.headers, name: number}))(list(recorded.records), recorded)
    report = verify(changed, recorded.trust)
    if name == names.SIGNATURE_AFTER:
        assert located(report) == (7, 9)
    else:
        assert report.verdict == "sound"


def test_a_producer_nobody_vouches_for_is_evidence(recorded: Recorded) -> None:
    """Events of a producer that is not in the trust file are not taken on faith."""
    report: Report = verify(recorded.records, {GREETER.prefix: recorded.trust[GREETER.prefix]})
    assert (report.verdict, report.first_bad) == ("tampered", 6)
    assert "not in the trust file" in report.findings[0].problem


@pytest.mark.parametrize("start", range(1, 31))
def test_verification_can_begin_anywhere(recorded: Recorded, start: int) -> None:
    """From any sequence, also inside a batch, a sound trail is sound and a later change is found."""
    rest = recorded.records[start - 1 :]
    assert verify(rest, recorded.trust, first_sequence=start).verdict == "sound"
    if start < 30:
        bad = [edited(record) if record.sequence == 30 else record for record in rest]
        assert located(verify(bad, recorded.trust, first_sequence=start)) == (max(start, 28), 30)


def test_memory_does_not_grow_with_evidence(recorded: Recorded) -> None:
    """Findings are counted, and only the first ones kept."""
    records = [record._replace(payload=b"{}") for record in recorded.records] * 20
    report = verify(renumbered(records), recorded.trust)
    assert (report.found, len(report.findings)) == (600, 100)


def test_nothing_is_no_verdict(recorded: Recorded) -> None:
    """An empty trail proves nothing: exit code 2."""
    assert verify([], recorded.trust).exit_code == 2
