"""One slot's chain: what its next event must follow, and what a batch's signature says of the events under it.

A link that is broken has two ends, and only one of them was changed. The signature of the batch decides: it vouches for
its last event, and through `prev` for all that lead there; so the event on the other end of the broken link is the one
that is not what was written. A signature that is not over its events says no more than that one of its batch was changed.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bus.audit.read import Record
from bus.credentials import verifying_key
from schemas import names
from schemas.audit import GENESIS, PAYLOAD_TYPE, AuditEvent, batch_payload, pre_authentication_encoding

MAX_SKEW_S: Final = 300
"""An event may say that it is so much later than the server's clock when it was stored, or so much earlier than the
event before. Earlier than the server's clock it may be by any time: an outage keeps events waiting."""
ENDS_A_BATCH: Final = frozenset({names.BATCH_COMMIT, names.SIGNATURE})
_ENDED: Final = "agentbus.process.stopped.v1"
_PARTS = re.compile(r"[0-9]{1,4}(?:,[0-9]{1,4}){0,999}")
_PLAIN = re.compile(r"[0-9]{1,19}")
_LONGEST_BATCH = 1000
_NOT_OVER: Final = "the signature of its batch is not over these events"


class Finding(NamedTuple):
    """One piece of evidence: where, and what is wrong, as a sentence.

    `last` is 0 where `sequence` is the place; else all that is known is that the place is from `sequence` to `last`.
    """

    sequence: int
    subject: str
    problem: str
    last: int = 0


class _Doubt(msgspec.Struct, frozen=True):
    """A broken link: where the event before it stands, as far as that is known, and where the event behind it does."""

    first: int
    last: int
    subject: str
    sequence: int
    problem: str


class Slot(msgspec.Struct):
    """What the next event of one slot must follow."""

    prefix: str
    adopted_from: int = 0
    """Not 0: nothing before this stream sequence is known of it, so its first event is taken as it is."""
    counter: int = 0
    digest: str = GENESIS
    sequence: int = 0
    subject: str = ""
    after: int = 0
    unsigned: list[int] = []
    """Events in each message since the last signature."""
    first_unsigned: int = 0
    is_vouched: bool = True
    """The last event is under a good signature."""
    doubts: list[_Doubt] = []
    messages: int = 1
    """How many the last batch was of."""
    is_disturbed: bool = False
    """Events are missing or out of order since the signature before the last one: that explains where they stand."""
    is_disturbed_now: bool = False
    """The same, since the last signature."""
    time: str = ""
    """The latest that its events say."""
    stored: str = ""
    """When the server stored the last one."""
    has_ended: bool = False
    """The last event says that its process ended in order."""

    def enter(self, record: Record, events: int) -> Iterator[Finding]:
        """A message of so many events begins."""
        if not self.unsigned:
            self.first_unsigned, self.after = record.sequence, self.sequence
        elif record.sequence != self.sequence + 1:
            self.is_disturbed_now = True
            yield Finding(record.sequence, record.subject, "its batch, which is stored in one piece, is in pieces")
        self.unsigned.append(events)

    def follow(self, record: Record, event: AuditEvent, digest: str) -> Iterator[Finding]:
        """The next event; `digest` is of its bytes."""
        if problem := self._order(event):
            self.is_disturbed_now = True
            yield Finding(record.sequence, record.subject, problem)
        elif event.prev != self.digest:
            yield from self._broken(record)
        if event.time < self.time and (back_s := seconds_between(event.time, self.time)) > MAX_SKEW_S:
            problem = (
                f"it is from {back_s:.0f} s before the event before it: a clock ran backwards, or its time is wrong"
            )
            yield Finding(record.sequence, record.subject, problem)
            self.time = event.time
        self.counter, self.digest = event.sequence, digest
        self.sequence, self.subject, self.is_vouched = record.sequence, record.subject, False
        self.time, self.stored, self.has_ended = max(self.time, event.time), record.time, event.type == _ENDED

    def close(self, record: Record, keys: tuple[str, ...] | None) -> Iterator[Finding]:
        """The end of a batch: its signature, and what follows from it for the broken links before it."""
        parts, after, written = self.unsigned, self.after, _number(record.headers, names.SIGNATURE_AFTER)
        if self.adopted_from:  # the batch may have begun before the first record that was fed
            parts = _told_parts(record.headers, parts)
            after = written if written < self.adopted_from else self.adopted_from - 1
        if written not in {after, -1}:
            yield self._moved(record, written, after)
        finding = self._signature(record, parts, written, keys)
        if finding:
            yield finding
        self.is_vouched = finding is None
        yield from self._settled()
        self.messages, self.unsigned, self.adopted_from = len(self.unsigned), [], 0
        self.is_disturbed, self.is_disturbed_now = self.is_disturbed_now, False

    def end(self, cut_at: int = 0) -> Iterator[Finding]:
        """The stream has ended; `cut_at` is where, when somebody knows that it went on."""
        if self.unsigned:
            count, then = sum(self.unsigned), self.sequence + 1
            problem = f"{count} events up to here have no signature: their batch was cut, or they are nobody's"
            first = then if then == cut_at else self.first_unsigned
            yield Finding(first, self.subject, problem, 0 if first == then else then)
            yield from self._settled()

    def _moved(self, record: Record, written: int, after: int) -> Finding:
        """The batch before stood elsewhere when this one was signed: both places are not what they were."""
        problem = f"this slot ended at stream sequence {written} when its next batch was stored, now at {after}"
        if self.is_disturbed or self.is_disturbed_now:
            return Finding(record.sequence, record.subject, problem)
        first, last = min(written, after) - self.messages + 1, max(written, after)
        return Finding(max(1, first), record.subject, problem, last)

    def _order(self, event: AuditEvent) -> str:
        expected = self.counter + 1
        if event.sequence == self.counter:
            return f"a second event {event.sequence} of this slot"
        if event.sequence < expected:
            return f"event {event.sequence} of this slot stands after event {self.counter}"
        if event.sequence > expected:
            return f"{span(expected, event.sequence - 1, 'event', ' of this slot')} missing before it"
        return ""

    def _broken(self, record: Record) -> Iterator[Finding]:
        problem = f"event {self.counter} of this slot is not the one that the next event was chained to"
        if self.is_vouched:
            problem += ": there were two histories"
            yield Finding(record.sequence, record.subject, problem)
        else:
            is_within = len(self.unsigned) > 1 or self.sequence == record.sequence
            first = self.sequence if is_within else self.sequence - self.messages + 1
            self.doubts.append(_Doubt(first, self.sequence, self.subject, record.sequence, problem))

    def _settled(self) -> Iterator[Finding]:
        """Where the broken links are, now that it is known whether what is behind them is genuine."""
        for doubt in self.doubts:
            first, last = (doubt.first, doubt.last) if self.is_vouched else (doubt.sequence, doubt.sequence)
            yield Finding(first, doubt.subject, doubt.problem, 0 if first == last else last)
        self.doubts = []

    def _signature(
        self, record: Record, parts: list[int], written: int, keys: tuple[str, ...] | None
    ) -> Finding | None:
        if keys is None:
            return Finding(record.sequence, record.subject, "its producer is not in the trust file")
        problem = _signature_problem(record, batch_payload(record.subject, self.digest, parts, written), keys)
        if problem != _NOT_OVER:
            return Finding(record.sequence, record.subject, problem) if problem else None
        return self._regrouped(record, parts, written, keys) or Finding(
            self.first_unsigned, record.subject, problem, 0 if len(parts) == 1 else record.sequence
        )

    def _regrouped(self, record: Record, parts: list[int], written: int, keys: tuple[str, ...]) -> Finding | None:
        """When the signature is over the same last event, but over messages of other lengths: the first of them."""
        told = _told_parts(record.headers, [])
        if _signature_problem(record, batch_payload(record.subject, self.digest, told, written), keys):
            return None
        if len(told) != len(parts):
            problem = f"its batch was of {len(told)} messages, {len(parts)} of them are here"
            return Finding(record.sequence, record.subject, problem)
        at = next(at for at, (one, other) in enumerate(zip(told, parts, strict=True)) if one != other)
        problem = f"it holds {parts[at]} events where {told[at]} were signed"
        return Finding(self.first_unsigned + at, record.subject, problem)


def seconds_between(time: str, later: str) -> float:
    """By how many seconds `later` is later; without end when one of them is no time."""
    try:
        return (datetime.fromisoformat(later) - datetime.fromisoformat(time)).total_seconds()
    except (ValueError, TypeError):
        return math.inf


def span(first: int, last: int, what: str = "stream sequence", whose: str = "") -> str:
    """One or several, and the verb."""
    return f"{what} {first}{whose} is" if first == last else f"{what}s {first} to {last}{whose} are"


def _signature_problem(record: Record, payload: bytes, keys: tuple[str, ...]) -> str:
    key = record.headers.get(names.SIGNATURE_KEY, "")
    if names.SIGNATURE not in record.headers:
        return "its batch has no signature"
    if key not in keys:
        said = f"its batch is signed by {key or 'no named key'}, which is not trusted for this producer"
        return f"{said}; is your trust.json from before its key was replaced? Then get the one of now"
    try:
        signature = base64.b64decode(record.headers[names.SIGNATURE], validate=True)
        _key(key).verify(signature, pre_authentication_encoding(PAYLOAD_TYPE, payload))
    except (InvalidSignature, binascii.Error):
        return _NOT_OVER
    return ""


def _told_parts(headers: dict[str, str], seen: list[int]) -> list[int]:
    """The events in each message of a batch whose end was `seen`, as its last message tells; the signature decides."""
    count = _number(headers, names.BATCH_SEQUENCE)
    told = headers.get(names.SIGNATURE_PARTS, "")
    parts = [int(part) for part in told.split(",")] if _PARTS.fullmatch(told) else [1] * min(count, _LONGEST_BATCH)
    return parts if not seen or parts[-len(seen) :] == seen else seen


def _number(headers: dict[str, str], name: str) -> int:
    value = headers.get(name, "")
    return int(value) if _PLAIN.fullmatch(value) else -1


@lru_cache(maxsize=1024)
def _key(public: str) -> Ed25519PublicKey:
    return verifying_key(public)
