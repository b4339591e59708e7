"""The verifier before it is believed: each kind of tampering, planted on a small trail in memory, must be seen and located.

The trail is made anew each time, with keys that nobody keeps. A verifier that was changed to see nothing, or a library
that calls every signature good, is found here before it calls a real trail sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from bus.audit.read import Record
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.verifying.self_test_trail import (
    ONE,
    OTHER,
    Planted,
    answered,
    closed_up,
    small_trail,
)
from bus.audit.verifying.verify import Report
from bus.errors import VerifierUnfit
from schemas import names, subjects
from schemas.audit import digest

Records = list[Record]
Plant = Callable[[Planted], Planted]
_HASH = bytes(32)


class Kind(NamedTuple):
    """One kind of tampering: how it is planted, and from which to which sequence it must be located."""

    plant: Plant
    first: int
    last: int


def self_test() -> None:
    """Plant everything; costs a few hundredths of a second.

    Raises:
        VerifierUnfit: something was not seen, or an untouched trail was called tampered with.
    """
    trail = small_trail()
    for untouched in (trail, trail.unsealed()):
        report = untouched.verified()
        if report.verdict != "sound":
            raise VerifierUnfit(f"the verifier failed its self-test: an untouched trail is {report.verdict} to it")
    for name, kind in KINDS.items():
        report = kind.plant(trail).verified()
        if (report.verdict, located(report)) != ("tampered", (kind.first, kind.last)):
            raise VerifierUnfit(
                f"the verifier failed its self-test: it does not see where {name}; install it again from a source that "
                "you trust, and verify again"
            )


def located(report: Report) -> tuple[int, int]:
    """From where to where the first finding says that it is; zeroes when there is none."""
    first = report.findings[0] if report.findings else None
    return (first.sequence, first.last or first.sequence) if first else (0, 0)


def _events(change: Callable[[Records], Records]) -> Plant:
    """The events alone, changed and closed up."""
    return lambda trail: replace(trail.unsealed(), records=closed_up(change([*trail.unsealed().records])))


def _event(sequence: int, change: Callable[[Record], Record]) -> Plant:
    return _events(lambda records: [change(one) if one.sequence == sequence else one for one in records])


def _edited(record: Record) -> Record:
    return _with(record, record.payload.replace(b"SendMessage", b"SendMassage"))


def _with(record: Record, payload: bytes) -> Record:
    return record._replace(payload=payload, headers={**record.headers, names.MSG_ID: digest(payload)})


def _headers(record: Record, **changed: str) -> Record:
    """Other signature headers; an empty one is left out."""
    wanted = {**record.headers, **{getattr(names, name): value for name, value in changed.items()}}
    return record._replace(headers={name: value for name, value in wanted.items() if value})


def _with_a_gap(trail: Planted) -> Planted:
    unsealed = trail.unsealed()
    return replace(unsealed, records=tuple(one for one in unsealed.records if one.sequence != 8))


def _cut(size: int, *, heads: bool = False, known: bool = False) -> Plant:
    """Nothing after `size`; who remembers what was there?"""
    return lambda trail: replace(
        trail, records=trail.records[:size], heads=trail.heads if heads else (), known=trail.known if known else ()
    )


def _other_time(sequence: int) -> Plant:
    def plant(trail: Planted) -> Planted:
        changed = [
            one._replace(block=one.block.replace(b"Stamp: 2030", b"Stamp: 2031")) if one.sequence == sequence else one
            for one in trail.records
        ]
        return replace(trail, records=tuple(changed), known=())

    return plant


def _clock(*hours: int) -> Plant:
    """Genuine events, of a clock that is so many hours ahead at each of the last batch."""
    return lambda _: small_trail(hours)


def _kept(trail: Planted) -> Planted:
    return replace(trail, known=(Checkpoint(trail.policy.logs[0].name, 12, _HASH),))


def _sealed_with_the_old_key(trail: Planted) -> Planted:
    passed = trail.handed_over()
    return passed.also(replace(passed, log=trail.log).checkpoint(len(passed.records)))


def _forked(counter: int, prev: str) -> Plant:
    """Genuine events after the last ones, by somebody who copied the key and goes on from another history."""
    return lambda trail: replace(trail, records=(*trail.records, *trail.one.copied(counter, prev).batch(18)))


_STEERED = b'{"type":"io.nats.jetstream.api.v1.pub_ack_response","stream":"AUDIT","seq":1}'
KINDS: Final[dict[str, Kind]] = {
    "an event was changed": Kind(_event(8, _edited), 8, 8),
    "a byte was changed": Kind(_event(8, lambda r: r._replace(payload=r.payload + b" ")), 8, 8),
    "the last event of a batch was changed": Kind(_event(9, _edited), 7, 9),
    "a message is no event": Kind(_event(8, lambda r: _with(r, b"{}")), 8, 8),
    "a message is missing": Kind(_with_a_gap, 8, 8),
    "an event was taken out": Kind(_events(lambda r: r[:7] + r[8:]), 8, 8),
    "a batch was taken out": Kind(_events(lambda r: r[:6] + r[9:]), 10, 10),
    "the beginning was taken out": Kind(_events(lambda r: r[6:]), 1, 1),
    "events of a producer changed places": Kind(_events(lambda r: [*r[:6], r[7], r[6], *r[8:]]), 7, 7),
    "events of two producers changed places": Kind(_events(lambda r: [*r[:8], r[9], r[8], *r[10:]]), 9, 9),
    "batches of two producers changed places": Kind(_events(lambda r: [*r[:3], *r[6:9], *r[3:6], *r[9:]]), 4, 9),
    "an event was stored twice": Kind(_events(lambda r: [*r, r[14]]), 16, 16),
    "an event of before was stored again": Kind(_events(lambda r: [*r, r[1]]), 16, 16),
    "a signature was taken off": Kind(_event(9, lambda r: _headers(r, SIGNATURE="")), 9, 9),
    "a signature is another batch's": Kind(
        _events(lambda r: [*r[:8], _headers(r[8], SIGNATURE=r[2].headers[names.SIGNATURE]), *r[9:]]), 7, 9
    ),
    "a stranger signed": Kind(_event(9, lambda r: _headers(r, SIGNATURE_KEY="U" + "A" * 55)), 9, 9),
    "an event stands under another producer's subject": Kind(
        _event(9, lambda r: r._replace(subject=OTHER.subject("request"))), 9, 9
    ),
    "an event stands under another domain": Kind(_event(8, lambda r: r._replace(subject=ONE.subject("task"))), 8, 8),
    "an event is from the future": Kind(_clock(0, 2, 2), 15, 15),
    "a clock ran backwards": Kind(_clock(0, -2, 0), 15, 15),
    "the end of a batch was cut": Kind(_events(lambda r: r[:14]), 13, 15),
    "a key was used twice": Kind(_forked(6, "a" * 64), 18, 18),
    "a key was used for another history": Kind(_forked(9, "a" * 64), 18, 18),
    "the end was cut, as its producer knows": Kind(_cut(13, heads=True), 14, 14),
    "the end was cut at a checkpoint": Kind(_cut(12, known=True), 13, 13),
    "the end was cut between two checkpoints": Kind(_cut(13, known=True), 14, 14),
    "a sealed message was changed": Kind(_other_time(15), 13, 16),
    "the stream was built anew": Kind(_other_time(1), 1, 12),
    "a sealer signed two roots": Kind(lambda trail: trail.also(trail.checkpoint(16, _HASH)), 18, 18),
    "a kept checkpoint is of another history": Kind(_kept, 1, 12),
    "a checkpoint is nobody's": Kind(lambda trail: trail.also(answered(0, subjects.SEAL, {}, b"junk")), 18, 18),
    "a key seals that was handed over": Kind(_sealed_with_the_old_key, 20, 20),
    "a new key seals without a hand-over": Kind(lambda trail: trail.handed_over(is_told=False), 18, 18),
    "an answer of the server was steered there": Kind(
        lambda trail: trail.also(answered(0, ONE.subject("request"), {}, _STEERED)), 18, 18
    ),
    "a message forges its headers": Kind(
        lambda trail: trail.also(trail.records[0]._replace(problem="forged")), 18, 18
    ),
}  # fmt: skip
