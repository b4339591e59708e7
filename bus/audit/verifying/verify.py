"""Whether the trail is what its producers wrote: every event, in order, chained, and signed by a key that is trusted.

What is checked, per stream: sequences without a gap. Per event: it can be read; its subject, source and type agree; it
does not come from the future, nor from long before the event before; its counter and `prev` follow from the event
before on the same slot, and the slot's first event starts from nothing. Per message: its `Nats-Msg-Id` begins with its
digest. Per batch: it is in one piece, and there is a signature over its last digest, its length, and the place of the batch
before. At the end: no unsigned event, and every head that a host remembers is still there.
Where the trail is sealed: every message, with its time and place, is what the signed checkpoints say.

Not shown by this, after the last checkpoint that the auditor knows: a tail that was cut at a batch, seen from a host
without the producer's head file, and a change of order between producers within the last batch of each. A producer
that fell silent is named; whether it had something to tell, the trail cannot say.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from bus.audit.archives import Broken
from bus.audit.packing import unpacked
from bus.audit.producer import Producer
from bus.audit.questions.silence import is_silent
from bus.audit.read import Record
from bus.audit.seal.check import SealCheck
from bus.audit.trust import Trust
from bus.audit.verifying.chain import ENDS_A_BATCH, MAX_SKEW_S, Finding, Slot, seconds_between, span
from bus.audit.writing.head import Head
from schemas import names, subjects
from schemas.audit import AuditEvent, decode_event, digest
from schemas.errors import InvalidSubject

Verdict = Literal["sound", "tampered", "cannot tell"]
EXIT_CODES: Final[dict[Verdict, int]] = {"sound": 0, "tampered": 1, "cannot tell": 2}
_TO_THE_SECOND = 19
MAX_FINDINGS: Final = 100
"""More are counted, not kept: memory stays constant."""


class Silent(NamedTuple):
    """A process that neither ended in order nor says that it is there: its slot, and its last message."""

    slot: str
    sequence: int
    stored: str


class Begin(NamedTuple):
    """Events up to stream sequence `after` are not checked, and why that may be: a part of a sentence.

    `slots` is what an earlier run knew there, and `seen` the digest of what it had read (see `Verifier.seen`); without
    them a slot's first event after it is taken as it is. `is_read`: the messages before are fed too, and hashed.
    """

    after: int
    rests_on: str
    is_read: bool = True
    slots: dict[str, Slot] | None = None
    seen: str = ""
    events: int = 0


NOWHERE: Final = Begin(0, "")


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
    checkpoints: int = 0
    sealed: int = 0
    """Up to this sequence the stream is what signed checkpoints say."""
    witnesses: tuple[str, ...] = ()
    """Who cosigned the last checkpoint on the stream."""
    began_after: int = 0
    """Events up to this sequence were not checked by this run; it rests on something else."""
    rests_on: str = ""
    silent: tuple[Silent, ...] = ()
    """Processes that fell silent. That is no evidence against the trail: the verdict does not depend on it."""

    @property
    def exit_code(self) -> int:
        """What a command that printed this report ends with."""
        return EXIT_CODES[self.verdict]

    @property
    def first_bad(self) -> int | None:
        """The lowest stream sequence that something is wrong with."""
        return self.findings[0].sequence if self.findings else None


@dataclass(slots=True)
class Verifier:
    """Feed it every record in order, then `finish`. Memory does not grow with the stream.

    From `first_sequence` 1, a slot must start from nothing; from later, its first event is taken as it is.
    """

    trust: Trust
    heads: tuple[Head, ...] = ()
    first_sequence: int = 1
    seals: SealCheck | None = None
    """What checkpoints are checked with; without it the stream may hold none."""
    begin: Begin = NOWHERE
    events: int = field(default=0, init=False)
    found: int = field(default=0, init=False)
    slots: dict[str, Slot] = field(default_factory=dict, init=False)
    _findings: list[Finding] = field(default_factory=list, init=False)
    _expected: int = field(default=0, init=False)
    _adopted_from: int = field(default=0, init=False)
    _open: Slot | None = field(default=None, init=False)
    _heads: dict[tuple[str, int], Head] = field(default_factory=dict, init=False)
    _head_places: frozenset[int] = field(default=frozenset(), init=False)
    _seen: hashlib._Hash = field(default_factory=hashlib.sha256, init=False)

    def __post_init__(self) -> None:
        if not self.begin.is_read:
            self.first_sequence = self.begin.after + 1
        self._expected = self.first_sequence
        adopts = self.first_sequence > 1 or (self.begin.after and self.begin.slots is None)
        self._adopted_from = max(self.first_sequence, self.begin.after + 1) if adopts else 0
        self.slots, self.events = dict(self.begin.slots or {}), self.begin.events
        known = (head for head in self.heads if head.stream_sequence >= self.first_sequence)
        self._heads = {(head.slot, head.counter): head for head in known}
        self._open = next((slot for slot in self.slots.values() if slot.unsigned), None)
        self._head_places = frozenset(head.stream_sequence for head in self._heads.values())

    def is_settled(self) -> bool:
        """Whether every event so far is under a signature."""
        return not any(slot.unsigned for slot in self.slots.values())

    @property
    def position(self) -> int:
        """The next sequence to feed."""
        return self._expected

    @property
    def seen(self) -> str:
        """The digest of what was fed so far, message by message, in hex; of a trail that is sealed."""
        return self._seen.hexdigest()

    def add(self, record: Record) -> None:
        """Check one record."""
        self._check_sequence(record)
        if self.seals:
            self._take(Finding(*one) for one in self.seals.add(record))
            self._seen.update(self.seals.hashed)
        if record.sequence <= self.begin.after:
            self._pass(record)
        elif record.problem:
            self.events += 1
            self._unread(record, f"its headers are forged: {record.problem}")
        elif not self.seals or record.subject != subjects.SEAL:
            self._add_events(record)

    def _pass(self, record: Record) -> None:
        """A message that is only hashed: all that is looked at is whether it is what an earlier run and a head saw."""
        for key, head in [*self._heads.items()] if record.sequence in self._head_places else ():
            if head.stream_sequence == record.sequence:
                del self._heads[key]
                if not record.subject.startswith(head.slot) or head.sha256 not in map(digest, unpacked(record.payload)):
                    self._find(record.sequence, record.subject, _another(head))
        begin = self.begin
        if record.sequence == begin.after and begin.seen and begin.seen != self.seen:
            problem = f"stream sequences 1 to {begin.after} are not what an interrupted run read here"
            self._take((Finding(1, "", problem, begin.after),))

    def _add_events(self, record: Record) -> None:
        payloads = unpacked(record.payload)
        self.events += len(payloads)
        try:
            producer, domain = _writer(record.subject)
            events = [decode_event(payload) for payload in payloads]
        except InvalidSubject as error:
            self._find(record.sequence, record.subject, str(error))
            return
        except msgspec.DecodeError as error:
            self._unread(record, f"it is not an audit event: {error}")
            return
        slot = self._slot(producer, events[0])
        self._check_place(record, slot)
        self._take(slot.enter(record, len(events)))
        whole = digest(record.payload)
        if record.headers.get(names.MSG_ID, "").partition(".")[0] != whole:
            problem = "its bytes are not those that it was sent with: Nats-Msg-Id is not its digest"
            self._find(record.sequence, record.subject, problem)
        for event, payload in zip(events, payloads, strict=True):
            self._check_identity(record, event, producer, domain)
            self._take(slot.follow(record, event, whole if len(events) == 1 else digest(payload)))
            self._check_head(record, slot)
        if not ENDS_A_BATCH.isdisjoint(record.headers):
            self._take(slot.close(record, self.trust.get(producer.prefix)))

    def _unread(self, record: Record, problem: str) -> None:
        """A message that is none of its slot's events, although it stands among them."""
        self._find(record.sequence, record.subject, problem)
        slot = self.slots.get(record.subject.rpartition(".")[0] + ".")
        if slot:
            slot.is_disturbed_now = True

    def broken(self, broken: Broken) -> None:
        """Say what is wrong with an archive of the trail."""
        self._take((Finding(broken.first, "", broken.problem, broken.last),))

    def differs_in_copy(self, sequence: int, subject: str, how: str) -> None:
        """Say that a copy of a message in an archive, from which its producer goes on, is not what the archive has."""
        self._find(sequence, subject, f"its copy in {names.AUDIT}, from which its producer goes on, is {how}")

    def missing_after(self, last: int) -> None:
        """Say that the stream claims sequences up to `last`, which it did not give."""
        if self._expected <= last:
            self._find(self._expected, "", f"{span(self._expected, last)} on the stream but cannot be read")

    def ended_before(self, last: int) -> None:
        """Say that the stream ends with `last`, before the place from which its events are checked."""
        self._find(last + 1, "", f"the stream ends with sequence {last}, but it held {self.begin.after} messages")

    def finish(self, now: datetime | None = None) -> Report:
        """The verdict over everything that was fed. With the time, processes that fell silent until then are named."""
        lost = [self._lost(head) for head in self._heads.values()]
        lost += [Finding(*missing) for missing in (self.seals.finish(self._expected - 1) if self.seals else ())]
        is_cut = any(finding.sequence == self._expected for finding in lost)
        for slot in self.slots.values():
            self._take(slot.end(self._expected if is_cut else 0))
        self._take(lost)
        if self.found:
            return self._report("tampered", "the trail is not what its producers wrote", now)
        if self.seals and self.seals.doubt:
            return self._report("cannot tell", self.seals.doubt, now)
        if not self.events and not self.begin.after:
            return self._report("cannot tell", "there are no events, and nothing says that there were any")
        return self._report("sound", "", now)

    def stop(self, reason: str) -> Report:
        """The verdict when reading could not go on: evidence so far stands, its absence shows nothing."""
        return self._report("tampered" if self.found else "cannot tell", reason)

    def _report(self, verdict: Verdict, reason: str, now: datetime | None = None) -> Report:
        report = Report(
            verdict, reason, _in_order(self._findings), self.found, self.events, len(self.slots),
            self._expected - 1, began_after=self.begin.after, rests_on=self.begin.rests_on,
            silent=tuple(self._silent(now)) if now else (),
        )  # fmt: skip
        if self.seals is None:
            return report
        seals = self.seals
        return replace(report, checkpoints=seals.checkpoints, sealed=seals.sealed, witnesses=seals.witnesses)

    def _silent(self, now: datetime) -> Iterator[Silent]:
        for slot in sorted(self.slots.values(), key=lambda one: one.sequence):
            if not slot.has_ended and is_silent(slot.stored, now):
                yield Silent(slot.prefix, slot.sequence, slot.stored)

    def _find(self, sequence: int, subject: str, problem: str) -> None:
        self._take((Finding(sequence, subject, problem),))

    def _take(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.found += 1
            if len(self._findings) < MAX_FINDINGS:
                self._findings.append(finding)

    def _check_sequence(self, record: Record) -> None:
        if record.sequence > self._expected:
            gap = span(self._expected, record.sequence - 1)
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
        if event.time[:_TO_THE_SECOND] > record.time and seconds_between(record.time, event.time) > MAX_SKEW_S:
            ahead_s = seconds_between(record.time, event.time)
            self._find(*where, f"it is from {ahead_s:.0f} s after it was stored: a clock is wrong, or its time is")

    def _slot(self, producer: Producer, first: AuditEvent) -> Slot:
        slot = self.slots.get(producer.slot_prefix)
        if slot is None:
            slot = self.slots[producer.slot_prefix] = Slot(producer.slot_prefix, self._adopted_from)
            if self._adopted_from:
                slot.counter, slot.digest = first.sequence - 1, first.prev
        return slot

    def _check_place(self, record: Record, slot: Slot) -> None:
        """A batch is stored in one piece: nobody else's message can be among its own."""
        if self._open is not None and self._open is not slot and self._open.unsigned:
            problem = f"it stands within a batch of another producer, {self._open.prefix}>"
            self._find(record.sequence, record.subject, problem)
        self._open = slot

    def _check_head(self, record: Record, slot: Slot) -> None:
        head = self._heads.pop((slot.prefix, slot.counter), None) if self._heads else None
        if head and (head.sha256, head.stream_sequence) != (slot.digest, record.sequence):
            self._find(record.sequence, record.subject, _another(head))

    def _lost(self, head: Head) -> Finding:
        """What a host remembers is not there: it was cut off with the end, or others stand in its place."""
        slot, seen_at = self.slots.get(head.slot), head.stream_sequence
        held = f"ends with event {slot.counter} of this slot" if slot else "holds no event of this slot"
        problem = f"the producer's host saw event {head.counter} confirmed at stream sequence {seen_at}, but the stream {held}"
        first, last = (slot.sequence if slot else 0) + 1, min(seen_at, self._expected)
        if seen_at >= self._expected:
            first = last
        return Finding(first, head.slot + ">", problem, 0 if first == last else last)


def verify(records: Iterable[Record], trust: Trust, heads: Iterable[Head] = (), *, first_sequence: int = 1) -> Report:
    """Verify recorded `records`."""
    verifier = Verifier(trust, tuple(heads), first_sequence)
    for record in records:
        verifier.add(record)
    return verifier.finish()


def _in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """By place. What is known of a stretch stands behind an exact place in it, which explains it."""
    exact = sorted(one.sequence for one in findings if not one.last)

    def place(one: Finding) -> tuple[int, bool, int, str]:
        first, last = one.sequence, one.last or one.sequence
        if one.last:
            at = bisect.bisect_left(exact, first)
            first = exact[at] if at < len(exact) and exact[at] <= last else first
        return first, bool(one.last), last, one.problem

    return tuple(sorted(findings, key=place))


def _another(head: Head) -> str:
    return f"the producer's host saw another event {head.counter} confirmed at {head.stream_sequence}"


@lru_cache(maxsize=4096)
def _writer(subject: str) -> tuple[Producer, str]:
    """Who alone may write to `subject`, and the domain that it is for."""
    return Producer.of_subject(subject), subject.rsplit(".", 1)[1]
