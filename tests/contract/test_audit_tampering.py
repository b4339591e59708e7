"""What a real server recorded, then changed by an attacker in every way we know: each is found, at its place."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from bus.audit.emit import Audit
from bus.audit.head import read_head
from bus.audit.producer import Producer
from bus.audit.read import Reader, Record
from bus.audit.trust import Trust
from bus.audit.verify import Report, verify
from bus.credentials import Credential
from schemas import names
from schemas.audit import PAYLOAD_TYPE, batch_payload, digest, pre_authentication_encoding
from tests.contract.audit_server import AuditServer

GREETER = Producer("greeter", "0", is_agent=True)
APPROVALS = Producer("approvals", "0", is_agent=False)


class Recorded:
    """Two producers' events, ten batches of three in turn: sequences 1-3 greeter, 4-6 approvals, …, 28-30."""

    records: list[Record]
    trust: Trust
    stranger: Credential


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
                audits[number % 2].emit("request.received", action="SendMessage", metadata={"n": f"{number}.{part}"})
            await audits[number % 2].confirm()
        for audit in audits:
            await audit.close()
        made = Recorded()
        made.records = [record async for record in Reader(await server.connect("auditor")).records()]
        made.trust, made.stranger = server.trust, server.credential("stranger")
        assert read_head(server.root / "state" / "greeter") is not None
        yield made
    finally:
        await server.close()


def renumbered(records: list[Record]) -> list[Record]:
    """As an attacker would: a stream without gaps."""
    return [record._replace(sequence=number) for number, record in enumerate(records, 1)]


def signed(record: Record, credential: Credential, count: int) -> Record:
    after = int(record.headers[names.SIGNATURE_AFTER])
    payload = batch_payload(record.subject, digest(record.payload), count, after)
    signature = credential.signing_key().sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    headers = {
        **record.headers,
        names.MSG_ID: digest(record.payload),
        names.SIGNATURE: base64.b64encode(signature).decode(),
        names.SIGNATURE_KEY: credential.public_key(),
    }
    return record._replace(headers=headers)


def edited(record: Record) -> Record:
    payload = record.payload.replace(b"SendMessage", b"SendMassage")
    assert payload != record.payload
    return record._replace(payload=payload, headers={**record.headers, names.MSG_ID: digest(payload)})


def without(record: Record, header: str) -> Record:
    return record._replace(headers={name: value for name, value in record.headers.items() if name != header})


Change = Callable[[list[Record], Recorded], list[Record]]


def _at(sequence: int, change: Callable[[Record], Record]) -> Change:
    def apply(records: list[Record], _: Recorded) -> list[Record]:
        return [change(record) if record.sequence == sequence else record for record in records]

    return apply


def _dropped(first: int, last: int, *, closed: bool) -> Change:
    def apply(records: list[Record], _: Recorded) -> list[Record]:
        kept = [record for record in records if not first <= record.sequence <= last]
        return renumbered(kept) if closed else kept

    return apply


def _swapped(one: int, other: int) -> Change:
    def apply(records: list[Record], _: Recorded) -> list[Record]:
        moved = list(records)
        moved[one - 1], moved[other - 1] = moved[other - 1], moved[one - 1]
        return renumbered(moved)

    return apply


def _repeated(sequence: int, at: int) -> Change:
    return lambda records, _: renumbered([*records[: at - 1], records[sequence - 1], *records[at - 1 :]])


TAMPERED: dict[str, tuple[Change, int, str]] = {
    "an event is changed": (_at(8, edited), 9, "chained to"),
    "the last event of a batch is changed": (_at(9, edited), 9, "signature"),
    "a byte is changed": (_at(8, lambda r: r._replace(payload=r.payload.replace(b"Send", b"Bend"))), 8, "Nats-Msg-Id"),
    "it is no event any more": (_at(8, lambda r: r._replace(payload=b"{}")), 8, "not an audit event"),
    "an event is gone": (_dropped(8, 8, closed=False), 8, "missing"),
    "an event is gone without a gap": (_dropped(8, 8, closed=True), 8, "missing before"),
    "a whole batch is gone": (_dropped(7, 9, closed=False), 7, "missing"),
    "a whole batch is gone without a gap": (_dropped(7, 9, closed=True), 10, "missing before"),
    "the start is gone": (_dropped(1, 6, closed=True), 1, "missing before"),
    "events are swapped": (_swapped(7, 8), 7, "missing before"),
    "producers' events are swapped": (_swapped(9, 10), 10, "in pieces"),
    "producers' batches are swapped": (lambda r, _: renumbered([*r[:3], *r[6:9], *r[3:6], *r[9:]]), 12, "ended at stream sequence 6 when its next batch was stored, now at 9"),
    "batches are swapped": (lambda r, _: renumbered([*r[:6], *r[12:15], *r[6:9], *r[15:]]), 7, "missing before"),
    "an event is repeated at once": (_repeated(9, 10), 10, "second event"),
    "an event is repeated later": (_repeated(2, 25), 25, "stands after"),
    "a batch lost its signature": (_at(9, lambda r: without(r, names.SIGNATURE)), 9, "no signature"),
    "a batch lost its end": (_at(30, lambda r: without(r, names.BATCH_COMMIT)), 28, "not signed"),
    "the last batch was cut": (_dropped(29, 30, closed=True), 28, "not signed"),
    "signed by a stranger": (lambda r, x: _at(9, lambda e: signed(e, x.stranger, 3))(r, x), 9, "not trusted"),
    "rewritten and signed by a stranger": (
        lambda r, x: _at(9, lambda e: signed(edited(e), x.stranger, 3))(r, x), 9, "not trusted",
    ),
    "a stranger's signature under a trusted name": (
        lambda r, x: _at(9, lambda e: signed(e, x.stranger, 3)._replace(
            headers={**signed(e, x.stranger, 3).headers, names.SIGNATURE_KEY: e.headers[names.SIGNATURE_KEY]}
        ))(r, x), 9, "not over these events",
    ),
    "the signature of another batch": (
        lambda r, x: _at(9, lambda e: e._replace(headers={**e.headers, names.SIGNATURE: r[14].headers[names.SIGNATURE]}))(
            r, x
        ), 9, "not over these events",
    ),
    "under another producer's subject": (_at(9, lambda r: r._replace(subject=APPROVALS.subject("request"))), 9, "from"),
    "under another slot": (
        _at(9, lambda r: r._replace(subject=Producer("greeter", "1", is_agent=True).subject("request"))), 9, "missing"
    ),
    "under another domain": (_at(8, lambda r: r._replace(subject=GREETER.subject("task"))), 8, "type"),
    "on no producer's subject": (_at(8, lambda r: r._replace(subject="audit.other")), 8, "not the subject"),
    "out of the stream's order": (_at(8, lambda r: r._replace(sequence=7)), 7, "stands after"),
}  # fmt: skip


def test_the_recorded_trail_is_sound(recorded: Recorded) -> None:
    """What the tests below change was sound before; verification does not cry wolf."""
    report = verify(recorded.records, recorded.trust)
    assert (report.verdict, report.exit_code, report.events, report.slots) == ("sound", 0, 30, 2)


@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_is_found_at_its_place(recorded: Recorded, name: str) -> None:
    """Each change makes the verdict `tampered`, and the first bad sequence is where it shows."""
    change, place, words = TAMPERED[name]
    report = verify(change(list(recorded.records), recorded), recorded.trust)
    assert (report.verdict, report.exit_code) == ("tampered", 1)
    assert report.first_bad == place, report.findings
    assert words in " ".join(finding.problem for finding in report.findings if finding.sequence == place)


@pytest.mark.parametrize("sequence", range(1, 31))
def test_every_single_event_is_under_protection(recorded: Recorded, sequence: int) -> None:
    """There is no event that can be changed, or left out with the rest closed up, without being noticed."""
    for change in (_at(sequence, edited), _dropped(sequence, sequence, closed=True)):
        report = verify(change(list(recorded.records), recorded), recorded.trust)
        assert report.verdict == "tampered"
        assert report.first_bad is not None
        assert abs(report.first_bad - sequence) <= 6


def test_a_cut_at_a_batch_is_seen_by_who_remembers(recorded: Recorded) -> None:
    """A tail cut between two batches verifies by itself; the producer's own head file shows that it is gone."""
    from bus.audit.head import Head

    cut = recorded.records[:24]
    assert verify(cut, recorded.trust).verdict == "sound"
    last = recorded.records[26]
    head = Head(slot=GREETER.slot_prefix, counter=15, sha256=digest(last.payload), stream_sequence=27)
    assert verify(recorded.records, recorded.trust, [head]).verdict == "sound"
    report = verify(cut, recorded.trust, [head])
    assert (report.verdict, report.first_bad) == ("tampered", 25)
    replaced = Head(slot=GREETER.slot_prefix, counter=15, sha256="f" * 64, stream_sequence=27)
    assert verify(recorded.records, recorded.trust, [replaced]).first_bad == 27


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
        assert verify(bad, recorded.trust, first_sequence=start).first_bad == 30


def test_memory_does_not_grow_with_evidence(recorded: Recorded) -> None:
    """Findings are counted, and only the first ones kept."""
    records = [record._replace(payload=b"{}") for record in recorded.records] * 20
    report = verify(renumbered(records), recorded.trust)
    assert (report.found, len(report.findings)) == (600, 100)


def test_nothing_is_no_verdict(recorded: Recorded) -> None:
    """An empty trail proves nothing: exit code 2."""
    assert verify([], recorded.trust).exit_code == 2
