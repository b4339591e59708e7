"""Every way we know to change what a trail holds, as functions of its records: what an attacker would store instead.

`RECORDED` is how the trail lies that `TAMPERED` changes: two producers, ten batches of three in turn, so sequences 1-3
are greeter's, 4-6 the approval service's, …, 28-30 its last. `REGROUPED` changes the events within one message.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from bus.audit.packing import unpacked
from bus.audit.producer import Producer
from bus.audit.read import Record
from bus.audit.trust import Trust
from bus.credentials import Credential
from schemas import names
from schemas.audit import PAYLOAD_TYPE, batch_payload, digest, pre_authentication_encoding

GREETER = Producer("greeter", "0", is_agent=True)
APPROVALS = Producer("approvals", "0", is_agent=False)


@dataclass
class Recorded:
    """A trail as it was written, whom it is signed by, and a key that nobody vouches for."""

    records: list[Record]
    trust: Trust
    stranger: Credential


def renumbered(records: list[Record]) -> list[Record]:
    """As an attacker would: a stream without gaps."""
    return [record._replace(sequence=number) for number, record in enumerate(records, 1)]


def signed(record: Record, credential: Credential, count: int) -> Record:
    after = int(record.headers[names.SIGNATURE_AFTER])
    payload = batch_payload(record.subject, digest(record.payload), [1] * count, after)
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


def at(sequence: int, change: Callable[[Record], Record]) -> Change:
    def apply(records: list[Record], _: Recorded) -> list[Record]:
        return [change(record) if record.sequence == sequence else record for record in records]

    return apply


def dropped(first: int, last: int, *, closed: bool) -> Change:
    def apply(records: list[Record], _: Recorded) -> list[Record]:
        kept = [record for record in records if not first <= record.sequence <= last]
        return renumbered(kept) if closed else kept

    return apply


def swapped(one: int, other: int) -> Change:
    def apply(records: list[Record], _: Recorded) -> list[Record]:
        moved = list(records)
        moved[one - 1], moved[other - 1] = moved[other - 1], moved[one - 1]
        return renumbered(moved)

    return apply


def repeated(sequence: int, at: int) -> Change:
    return lambda records, _: renumbered([*records[: at - 1], records[sequence - 1], *records[at - 1 :]])


def resent(record: Record, events: list[bytes]) -> Record:
    """The record with other events, as somebody would store it who can write to the disk but has no key."""
    payload = events[0] if len(events) == 1 else b"[%b]" % b",".join(events)
    return record._replace(payload=payload, headers={**record.headers, names.MSG_ID: digest(payload)})


def rechained(sequence: int) -> Change:
    """An event is changed, and `prev` of those behind it in its batch, as far as that goes without the key."""

    def apply(records: list[Record], _: Recorded) -> list[Record]:
        changed = [edited(record) if record.sequence == sequence else record for record in records]
        last = -(-sequence // 3) * 3
        for place in range(sequence, last):
            before = digest(changed[place - 1].payload).encode()
            genuine = digest(records[place - 1].payload).encode()
            changed[place] = resent(changed[place], [changed[place].payload.replace(genuine, before)])
        return changed

    return apply


Place = tuple[int, int]
"""From which stream sequence to which the evidence must say that it is: one, or no fewer than the design can tell."""


def only(sequence: int) -> Place:
    """Exactly there."""
    return sequence, sequence


BATCH: Place = (7, 9)
"""A signature that is not over its events says that the batch was changed, not which event of it."""
TAMPERED: dict[str, tuple[Change, Place, str]] = {
    "an event is changed": (at(8, edited), only(8), "chained to"),
    "the last event of a batch is changed": (at(9, edited), BATCH, "signature"),
    "an event and the rest of its batch are changed": (rechained(7), BATCH, "signature"),
    "a byte is changed": (at(8, lambda r: r._replace(payload=r.payload.replace(b"Send", b"Bend"))), only(8), "Nats-Msg-Id"),
    "it is no event any more": (at(8, lambda r: r._replace(payload=b"{}")), only(8), "not an audit event"),
    "an event is gone": (dropped(8, 8, closed=False), only(8), "missing"),
    "an event is gone without a gap": (dropped(8, 8, closed=True), only(8), "missing before"),
    "a whole batch is gone": (dropped(7, 9, closed=False), only(7), "missing"),
    "a whole batch is gone without a gap": (dropped(7, 9, closed=True), only(10), "missing before"),
    "the start is gone": (dropped(1, 6, closed=True), only(1), "missing before"),
    "events are swapped": (swapped(7, 8), only(7), "missing before"),
    "producers' events are swapped": (swapped(9, 10), only(9), "within a batch of another"),
    "producers' batches are swapped": (lambda r, _: renumbered([*r[:3], *r[6:9], *r[3:6], *r[9:]]), (4, 9), "ended at stream sequence 6 when its next batch was stored, now at 9"),
    "batches are swapped": (lambda r, _: renumbered([*r[:6], *r[12:15], *r[6:9], *r[15:]]), only(7), "missing before"),
    "an event is repeated at once": (repeated(9, 10), only(10), "second event"),
    "an event is repeated later": (repeated(2, 25), only(25), "stands after"),
    "a batch lost its signature": (at(9, lambda r: without(r, names.SIGNATURE)), only(9), "no signature"),
    "a batch lost its end": (at(30, lambda r: without(without(r, names.BATCH_COMMIT), names.SIGNATURE)), (28, 31), "no signature"),
    "the last batch was cut": (dropped(29, 30, closed=True), (28, 29), "no signature"),
    "signed by a stranger": (lambda r, x: at(9, lambda e: signed(e, x.stranger, 3))(r, x), only(9), "not trusted"),
    "rewritten and signed by a stranger": (
        lambda r, x: at(9, lambda e: signed(edited(e), x.stranger, 3))(r, x), only(9), "not trusted",
    ),
    "a stranger's signature under a trusted name": (
        lambda r, x: at(9, lambda e: signed(e, x.stranger, 3)._replace(
            headers={**signed(e, x.stranger, 3).headers, names.SIGNATURE_KEY: e.headers[names.SIGNATURE_KEY]}
        ))(r, x), BATCH, "not over these events",
    ),
    "the signature of another batch": (
        lambda r, x: at(9, lambda e: e._replace(headers={**e.headers, names.SIGNATURE: r[14].headers[names.SIGNATURE]}))(
            r, x
        ), BATCH, "not over these events",
    ),
    "under another producer's subject": (at(9, lambda r: r._replace(subject=APPROVALS.subject("request"))), only(9), "from"),
    "under another slot": (
        at(9, lambda r: r._replace(subject=Producer("greeter", "1", is_agent=True).subject("request"))), only(9), "missing"
    ),
    "under another domain": (at(8, lambda r: r._replace(subject=GREETER.subject("task"))), only(8), "type"),
    "on no producer's subject": (at(8, lambda r: r._replace(subject="audit.other")), only(8), "not the subject"),
    "out of the stream's order": (at(8, lambda r: r._replace(sequence=7)), only(7), "stands after"),
}  # fmt: skip


def regrouped(records: list[Record], sequence: int, change: Callable[[list[bytes]], list[bytes]]) -> list[Record]:
    return [
        resent(record, change(list(unpacked(record.payload)))) if record.sequence == sequence else record
        for record in records
    ]


PACKED = 4
"""The first message of many events."""
REGROUPED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "an event is changed": lambda e: [*e[:5], e[5].replace(b"SendMessage", b"SendMassage"), *e[6:]],
    "the last event is changed": lambda e: [*e[:-1], e[-1].replace(b"SendMessage", b"SendMassage")],
    "an event is gone": lambda e: [*e[:5], *e[6:]],
    "the first event is gone": lambda e: e[1:],
    "the last event is gone": lambda e: e[:-1],
    "events are swapped": lambda e: [*e[:5], e[6], e[5], *e[7:]],
    "an event is twice there": lambda e: [*e[:5], e[5], *e[5:]],
    "one is no event": lambda e: [*e[:5], b"1", *e[6:]],
}
