"""Whether the trail is what its producers wrote: every event, in order, chained, and signed by a key that is trusted.

What is checked, per stream: sequences without a gap. Per event: it can be read; its subject, source and
type agree; its `Nats-Msg-Id` is its digest; its counter and `prev` follow from the event before on the
same slot, and the slot's first event starts from nothing. Per batch: it is in one piece, and there is a signature over its
last digest, its length, and the place of the batch before. At the end: no unsigned event, and every head that a host remembers is still there.

Not shown by this alone: a tail that was cut at a batch, seen from a host without the producer's head
file, and a change of order between producers within the last batch of each.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bus.audit.head import Head
from bus.audit.producer import Producer
from bus.audit.read import Record
from bus.audit.trust import Trust
from bus.credentials import verifying_key
from schemas import names
from schemas.audit import (
    GENESIS,
    PAYLOAD_TYPE,
    AuditEvent,
    batch_payload,
    decode_event,
    digest,
    pre_authentication_encoding,
)
from schemas.errors import InvalidSubject

Verdict = Literal["sound", "tampered", "cannot tell"]
EXIT_CODES: Final[dict[Verdict, int]] = {"sound": 0, "tampered": 1, "cannot tell": 2}
MAX_FINDINGS: Final = 100
"""More are counted, not kept: memory stays constant."""


class Finding(NamedTuple):
    """One piece of evidence: where, and what is wrong, as a sentence."""

    sequence: int
    subject: str
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification came to. `findings` are in stream order; `found` counts all of them."""

    verdict: Verdict
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    found: int = 0
    events: int = 0
    slots: int = 0
    last_sequence: int = 0

    @property
    def exit_code(self) -> int:
        """What a command that printed this report ends with."""
        return EXIT_CODES[self.verdict]

    @property
    def first_bad(self) -> int | None:
        """The lowest stream sequence that something is wrong with."""
        return self.findings[0].sequence if self.findings else None


@dataclass(slots=True)
class _Slot:
    """What the next event of one slot must follow."""

    prefix: str
    counter: int = 0
    digest: str = GENESIS
    sequence: int = 0
    after: int = 0
    unsigned: int = 0
    first_unsigned: int = 0
    subject: str = ""
    is_adopted: bool = False


@dataclass(slots=True)
class Verifier:
    """Feed it every record in order, then `finish`. Memory does not grow with the stream.

    From `first_sequence` 1, a slot must start from nothing; from later, its first event is taken as it is.
    """

    trust: Trust
    heads: tuple[Head, ...] = ()
    first_sequence: int = 1
    events: int = 0
    found: int = 0
    _findings: list[Finding] = field(default_factory=list)
    _slots: dict[str, _Slot] = field(default_factory=dict)
    _expected: int = field(default=0)
    _heads: dict[tuple[str, int], Head] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._expected = self.first_sequence
        self._heads = {(head.slot, head.counter): head for head in self.heads}

    def is_settled(self) -> bool:
        """Whether every event so far is under a signature."""
        return not any(slot.unsigned for slot in self._slots.values())

    @property
    def position(self) -> int:
        """The next sequence to feed."""
        return self._expected

    def add(self, record: Record) -> None:
        """Check one record."""
        self._check_sequence(record)
        self.events += 1
        if record.problem:
            self._find(record.sequence, record.subject, f"its headers are forged: {record.problem}")
            return
        try:
            producer, domain = _writer(record.subject)
            event = decode_event(record.payload)
        except InvalidSubject as error:
            self._find(record.sequence, record.subject, str(error))
            return
        except msgspec.DecodeError as error:
            self._find(record.sequence, record.subject, f"it is not an audit event: {error}")
            return
        self._check_identity(record, event, producer, domain)
        self._check_chain(record, event, producer)

    def missing_after(self, last: int) -> None:
        """Say that the stream claims sequences up to `last`, which it did not give."""
        if self._expected <= last:
            self._find(self._expected, "", f"{_span(self._expected, last)} on the stream but cannot be read")

    def finish(self) -> Report:
        """The verdict over everything that was fed."""
        for slot in self._slots.values():
            if slot.unsigned:
                problem = f"{slot.unsigned} events from here to the end are not signed: their batch was cut"
                self._find(slot.first_unsigned, slot.subject, problem)
        for head in self._heads.values():
            self._find(min(head.stream_sequence, self._expected), head.slot + ">", self._lost(head))
        if self.found:
            return self._report("tampered", "the trail is not what its producers wrote")
        if not self.events:
            return self._report("cannot tell", "there are no events, and nothing says that there were any")
        return self._report("sound", "")

    def stop(self, reason: str) -> Report:
        """The verdict when reading could not go on: evidence so far stands, its absence shows nothing."""
        return self._report("tampered" if self.found else "cannot tell", reason)

    def _report(self, verdict: Verdict, reason: str) -> Report:
        findings = tuple(sorted(self._findings))
        return Report(verdict, reason, findings, self.found, self.events, len(self._slots), self._expected - 1)

    def _find(self, sequence: int, subject: str, problem: str) -> None:
        self.found += 1
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append(Finding(sequence, subject, problem))

    def _check_sequence(self, record: Record) -> None:
        if record.sequence > self._expected:
            gap = _span(self._expected, record.sequence - 1)
            self._find(self._expected, "", f"{gap} missing from a stream that never deletes")
        elif record.sequence < self._expected:
            self._find(record.sequence, record.subject, f"it stands after stream sequence {self._expected - 1}")
        self._expected = record.sequence + 1

    def _check_identity(self, record: Record, event: AuditEvent, producer: Producer, domain: str) -> None:
        where = (record.sequence, record.subject)
        if event.source != producer.source:
            self._find(*where, f"it says it is from {event.source!r}, which does not write to this subject")
        if event.type.split(".")[1:2] != [domain]:
            self._find(*where, f"its type {event.type!r} does not belong on this subject")
        if record.headers.get(names.MSG_ID) != digest(record.payload):
            self._find(*where, "its bytes are not those that it was sent with: Nats-Msg-Id is not its digest")

    def _check_chain(self, record: Record, event: AuditEvent, producer: Producer) -> None:
        slot = self._slots.get(producer.slot_prefix)
        if slot is None:
            slot = self._slots[producer.slot_prefix] = _Slot(producer.slot_prefix)
            if self.first_sequence > 1:
                slot.counter, slot.digest, slot.is_adopted = event.sequence - 1, event.prev, True
        if problem := _chain_problem(slot, event):
            self._find(record.sequence, record.subject, problem)
        slot.counter, slot.digest, slot.subject = event.sequence, digest(record.payload), record.subject
        if not slot.unsigned:
            slot.first_unsigned, slot.after = record.sequence, slot.sequence
        elif record.sequence != slot.sequence + 1:
            self._find(record.sequence, record.subject, "its batch, which is stored in one piece, is in pieces")
        slot.sequence = record.sequence
        slot.unsigned += 1
        self._check_head(record, slot)
        if names.BATCH_COMMIT in record.headers:
            self._check_signature(record, slot, self.trust.get(producer.prefix))

    def _check_head(self, record: Record, slot: _Slot) -> None:
        head = self._heads.pop((slot.prefix, slot.counter), None)
        if head and (head.sha256, head.stream_sequence) != (slot.digest, record.sequence):
            problem = f"the producer's host saw another event {head.counter} confirmed at {head.stream_sequence}"
            self._find(record.sequence, record.subject, problem)

    def _check_signature(self, record: Record, slot: _Slot, keys: tuple[str, ...] | None) -> None:
        count, after, slot.unsigned = slot.unsigned, slot.after, 0
        if slot.is_adopted:  # the batch may have begun before the first record that was fed
            count = _number(record.headers, names.BATCH_SEQUENCE)
            after = _number(record.headers, names.SIGNATURE_AFTER)
            slot.is_adopted = False
        written = _number(record.headers, names.SIGNATURE_AFTER)
        if written not in {after, -1}:
            problem = f"this slot ended at stream sequence {written} when its next batch was stored, now at {after}"
            self._find(record.sequence, record.subject, problem)
        if keys is None:
            problem = "its producer is not in the trust file"
        else:
            problem = _signature_problem(record, batch_payload(record.subject, slot.digest, count, written), keys)
        if problem:
            self._find(record.sequence, record.subject, problem)

    def _lost(self, head: Head) -> str:
        slot = self._slots.get(head.slot)
        held = f"ends with event {slot.counter} of this slot" if slot else "holds no event of this slot"
        return f"the producer's host saw event {head.counter} confirmed at stream sequence {head.stream_sequence}, but the stream {held}"


def verify(records: Iterable[Record], trust: Trust, heads: Iterable[Head] = (), *, first_sequence: int = 1) -> Report:
    """Verify recorded `records`."""
    verifier = Verifier(trust, tuple(heads), first_sequence)
    for record in records:
        verifier.add(record)
    return verifier.finish()


def _chain_problem(slot: _Slot, event: AuditEvent) -> str:
    expected = slot.counter + 1
    if event.sequence == slot.counter:
        return f"a second event {event.sequence} of this slot"
    if event.sequence < expected:
        return f"event {event.sequence} of this slot stands after event {slot.counter}"
    if event.sequence > expected:
        return f"{_span(expected, event.sequence - 1, 'event', ' of this slot')} missing before it"
    if event.prev != slot.digest:
        return f"event {slot.counter} of this slot is not the one that this event was chained to"
    return ""


def _signature_problem(record: Record, payload: bytes, keys: tuple[str, ...]) -> str:
    key = record.headers.get(names.SIGNATURE_KEY, "")
    if names.SIGNATURE not in record.headers:
        return "its batch has no signature"
    if key not in keys:
        return f"its batch is signed by {key or 'no named key'}, which is not trusted for this producer"
    try:
        signature = base64.b64decode(record.headers[names.SIGNATURE], validate=True)
        _key(key).verify(signature, pre_authentication_encoding(PAYLOAD_TYPE, payload))
    except (InvalidSignature, binascii.Error):
        return "the signature of its batch is not over these events"
    return ""


def _number(headers: dict[str, str], name: str) -> int:
    value = headers.get(name, "")
    return int(value) if value.isdecimal() else -1


def _span(first: int, last: int, what: str = "stream sequence", whose: str = "") -> str:
    return f"{what} {first}{whose} is" if first == last else f"{what}s {first} to {last}{whose} are"


@lru_cache(maxsize=4096)
def _writer(subject: str) -> tuple[Producer, str]:
    """Who alone may write to `subject`, and the domain that it is for."""
    return Producer.of_subject(subject), subject.rsplit(".", 1)[1]


@lru_cache(maxsize=1024)
def _key(public: str) -> Ed25519PublicKey:
    return verifying_key(public)
