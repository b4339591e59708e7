"""A small trail in memory, as a server would answer it: two producers, signed batches, two checkpoints.

    1-3 one, 4-6 other, 7-9 one, 10-12 other, 13 the checkpoint of 12, 14-16 one, 17 the checkpoint of 16

Its keys are made for it and kept by nobody.
"""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.producer import Producer
from bus.audit.read import Record
from bus.audit.seal.check import SealCheck
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.handover import hand_over
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.merkle import CompactRange
from bus.audit.tlog.note import ED25519, Key, Note, sign
from bus.audit.tlog.policy import Policy
from bus.audit.trust import Trust
from bus.audit.verifying.verify import Report, Verifier
from bus.audit.writing.head import Head
from bus.credentials import public_nkey
from schemas import names, subjects
from schemas.audit import (
    CATALOGUE,
    GENESIS,
    PAYLOAD_TYPE,
    AuditEvent,
    EventData,
    batch_payload,
    digest,
    encode_event,
    pre_authentication_encoding,
    severity_text,
)

ONE: Final = Producer("self-test-one", "0", is_agent=True)
OTHER: Final = Producer("self-test-other", "0", is_agent=True)
BATCH: Final = 3
_ORIGIN = "self-test/audit"
_ROW = CATALOGUE["request.received"]


@dataclass(frozen=True)
class Planted:
    """Records, and what an auditor knows; `is_sealed`: with the checkpoints among them."""

    records: tuple[Record, ...]
    trust: Trust
    policy: Policy
    log: Ed25519PrivateKey = field(repr=False)
    one: Writer
    heads: tuple[Head, ...] = ()
    known: tuple[Checkpoint, ...] = ()
    is_sealed: bool = True

    def verified(self) -> Report:
        """The verifier's report on it."""
        verifier = Verifier(
            self.trust, self.heads, seals=SealCheck(self.policy, self.known) if self.is_sealed else None
        )
        for record in self.records:
            verifier.add(record)
        return verifier.finish()

    def unsealed(self) -> Planted:
        """Only the events, closed up: what chains and signatures alone must show."""
        events = [one for one in self.records if one.subject != subjects.SEAL]
        return replace(self, records=closed_up(events), heads=(), known=(), is_sealed=False)

    def checkpoint(self, size: int, root: bytes = b"") -> Record:
        """A message with a checkpoint that the log signed; of these records, unless another root is given."""
        text = Checkpoint(_ORIGIN, size, root or root_of(self.records[:size])).text()
        note = bytes(Note(text, (sign(text, _ORIGIN, self.log),)))
        return answered(len(self.records) + 1, subjects.SEAL, {}, note)

    def handed_over(self, *, is_told: bool = True) -> Planted:
        """With the log's key handed over after all of it, and a checkpoint that the new key signed."""
        size, private = len(self.records), Ed25519PrivateKey.generate()
        made = hand_over(Checkpoint(_ORIGIN, size, root_of(self.records)), _ORIGIN, ED25519, self.log, private, now_s=0)
        told = self.also(answered(0, subjects.SEAL, {}, made.note)) if is_told else self
        new = replace(told, log=private, policy=Policy((made.new,), {}, handovers=(made,)))
        return new.also(new.checkpoint(len(new.records)))

    def also(self, record: Record) -> Planted:
        """With one more message at the end."""
        return replace(self, records=(*self.records, at_place(record, len(self.records) + 1)))


class Writer:
    """One producer with its key: what it writes is chained and signed as the product does."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self._key = Ed25519PrivateKey.generate()
        self.public = public_nkey(self._key)
        self.counter, self.prev, self.last = 0, GENESIS, 0

    def batch(self, first: int, hours: tuple[int, ...] = (0,) * BATCH) -> list[Record]:
        """A batch that begins at stream sequence `first`; each event's clock is so many `hours` ahead."""
        payloads = [self._event(first + place, ahead) for place, ahead in enumerate(hours)]
        headers = [{names.MSG_ID: digest(one), names.BATCH_SEQUENCE: str(n)} for n, one in enumerate(payloads, 1)]
        headers[-1] |= self._signature(digest(payloads[-1]), len(payloads))
        self.last = first + len(payloads) - 1
        subject = self.producer.subject(_ROW.domain)
        return [
            answered(first + place, subject, own, payload)
            for place, (own, payload) in enumerate(zip(headers, payloads, strict=True))
        ]

    def copied(self, counter: int, prev: str) -> Writer:
        """Somebody else with the same key, who goes on from another history."""
        other = copy.copy(self)
        other.counter, other.prev = counter, prev
        return other

    def head(self) -> Head:
        """What its host remembers."""
        slot = self.producer.slot_prefix
        return Head(slot=slot, counter=self.counter, sha256=self.prev, stream_sequence=self.last)

    def _event(self, sequence: int, ahead: int) -> bytes:
        self.counter += 1
        event = AuditEvent(
            id=f"{self.producer.name}/{self.counter}", source=self.producer.source, type=_ROW.name,
            time=_time(sequence, ahead), sequence=self.counter, prev=self.prev, epoch="self-test",
            severitynumber=_ROW.severity, severitytext=severity_text(_ROW.severity),
            data=EventData(actor="self-test", action="SendMessage", outcome="success"),
        )  # fmt: skip
        payload = encode_event(event)
        self.prev = digest(payload)
        return payload

    def _signature(self, last: str, count: int) -> dict[str, str]:
        covered = batch_payload(self.producer.subject(_ROW.domain), last, [1] * count, self.last)
        signature = self._key.sign(pre_authentication_encoding(PAYLOAD_TYPE, covered))
        return {
            names.BATCH_COMMIT: "1", names.SIGNATURE: base64.b64encode(signature).decode(),
            names.SIGNATURE_KEY: self.public, names.SIGNATURE_AFTER: str(self.last),
        }  # fmt: skip


def small_trail(hours: tuple[int, ...] = (0,) * BATCH) -> Planted:
    """The trail; the clock of `ONE` was `hours` ahead at the events of its last batch."""
    one, other, log = Writer(ONE), Writer(OTHER), Ed25519PrivateKey.generate()
    records = [*one.batch(1), *other.batch(4), *one.batch(7), *other.batch(10)]
    trust: Trust = {writer.producer.prefix: (writer.public,) for writer in (one, other)}
    policy = Policy((Key(_ORIGIN, ED25519, log.public_key().public_bytes_raw()),), {})
    trail = Planted(tuple(records), trust, policy, log, one)
    trail = trail.also(trail.checkpoint(12))
    trail = replace(trail, records=(*trail.records, *one.batch(14, hours)), heads=(one.head(), other.head()))
    size = len(trail.records)
    known = Checkpoint(_ORIGIN, size, root_of(trail.records))
    return replace(trail.also(trail.checkpoint(size)), known=(known,))


def answered(sequence: int, subject: str, headers: dict[str, str], payload: bytes) -> Record:
    """A record as it is read from a server."""
    time = _time(sequence)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    block = (
        f"NATS/1.0\r\n{lines}Nats-Stream: {names.AUDIT}\r\nNats-Subject: {subject}\r\n"
        f"Nats-Sequence: {sequence}\r\nNats-Time-Stamp: {time}\r\n\r\n"
    )
    return Record(sequence, time, subject, headers, payload, block=block.encode())


def at_place(record: Record, sequence: int) -> Record:
    """The same message elsewhere on the stream."""
    return answered(sequence, record.subject, record.headers, record.payload)._replace(problem=record.problem)


def closed_up(records: list[Record]) -> tuple[Record, ...]:
    """A stream without gaps."""
    return tuple(at_place(record, place) for place, record in enumerate(records, 1))


def root_of(records: tuple[Record, ...]) -> bytes:
    """The root of the tree over these messages."""
    tree = CompactRange()
    for record in records:
        tree.append(Leaf.of_answer(record.block, record.payload).hash())
    return tree.root()


def _time(sequence: int, ahead_hours: int = 0) -> str:
    return f"2030-01-01T{12 + ahead_hours:02}:00:{sequence:02}.000Z"
