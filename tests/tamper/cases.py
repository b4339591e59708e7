"""The table: each row is one way to tamper with a real store, and where an auditor must be led to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from bus.audit.packing import unpacked
from bus.audit.producer import Producer
from bus.audit.read import Record
from bus.surroundings import Home
from schemas import names, subjects
from schemas.audit import decode_event, digest
from tests.tamper.changes import (
    APPROVALS,
    GREETER,
    PACKED,
    REGROUPED,
    TAMPERED,
    Place,
    Recorded,
    at,
    edited,
    only,
    regrouped,
    renumbered,
    resent,
)
from tests.tamper.store import TEXTSTATS, Attacker, block_of, forget_hashes, forget_heads, hand_over_seal, put_back

Online = Callable[[Attacker, Recorded], Awaitable[None]]


async def _nothing(_attacker: Attacker, _recorded: Recorded) -> None:
    """It was done before the server started."""


def _left_alone(_home: Home) -> None:
    """It is done while the server runs."""


@dataclass(frozen=True)
class Case:
    """`on_disk` is done while the server is down, `online` while it runs; the first finding must be exactly at `place`."""

    name: str
    trail: str
    place: Place
    online: Online = _nothing
    on_disk: Callable[[Home], None] = _left_alone
    is_tested_in_memory: bool = False
    """`tests/contract/audit/test_audit_tampering.py` makes the same change to the records that it read."""
    is_alike: bool = False
    """Another row shows nearly the same."""


def _rebuilt(change: Callable[[list[Record], Recorded], list[Record]]) -> Online:
    async def attack(attacker: Attacker, recorded: Recorded) -> None:
        await attacker.rebuild(change(list(recorded.records), recorded))

    return attack


_NOT_STORABLE = {"out of the stream's order"}
"""A server numbers what it stores: this order can only be had in an export, and the unit test has it."""
_REMEMBERED: dict[str, Place] = {"the last batch was cut": only(29)}
"""Located better on a host that has the producers' heads."""


def _in_turn() -> Iterator[Case]:
    for name, (change, place, _) in TAMPERED.items():
        if name not in _NOT_STORABLE:
            yield Case(name, "in turn", _REMEMBERED.get(name, place), _rebuilt(change), is_tested_in_memory=True)


def _in_bulk() -> Iterator[Case]:
    for name, change in REGROUPED.items():
        yield Case(
            f"in a message of many: {name}", "in bulk", only(PACKED),
            _rebuilt(lambda records, _, change=change: regrouped(records, PACKED, change)),  # type: ignore[misc]
            is_tested_in_memory=True,
        )  # fmt: skip
    yield Case(
        "in a message of many: one moved to the next",
        "in bulk",
        only(PACKED),
        _rebuilt(_moved),
        is_tested_in_memory=True,
    )
    yield Case(
        "in a message of many: spelled otherwise", "in bulk", only(PACKED), _rebuilt(_spaced), is_tested_in_memory=True
    )


def _moved(records: list[Record], _: Recorded) -> list[Record]:
    last = unpacked(records[PACKED - 1].payload)[-1]
    records = regrouped(records, PACKED, lambda events: events[:-1])
    return regrouped(records, PACKED + 1, lambda events: [last, *events])


def _spaced(records: list[Record], recorded: Recorded) -> list[Record]:
    def spaced(record: Record) -> Record:
        payload = record.payload.replace(b"},{", b"}, {")
        return record._replace(payload=payload, headers={**record.headers, names.MSG_ID: digest(payload)})

    return at(PACKED, spaced)(records, recorded)


def _flipped(home: Home) -> None:
    block = block_of(home)
    before = block.read_bytes()
    block.write_bytes(before.replace(b'"reason":"3.1"}', b'"reason":"3.7"}'))
    assert block.read_bytes() != before


def _flipped_without_index(home: Home) -> None:
    _flipped(home)
    for index in block_of(home).parent.glob("index.db"):
        index.unlink()


def _cut_on_disk(home: Home) -> None:
    block = block_of(home)
    block.write_bytes(block.read_bytes()[: block.stat().st_size // 2])
    for index in block.parent.glob("index.db"):
        index.unlink()


async def _without_the_last_batch(attacker: Attacker, recorded: Recorded) -> None:
    await attacker.rebuild(recorded.records[:27])


async def _lowered_limit(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.update(max_msgs=20, discard="old")


async def _deleted(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.delete()


async def _empty(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.rebuild([])


async def _steered(attacker: Attacker, recorded: Recorded) -> None:
    """What the server itself would answer to a reply subject on the trail."""
    answer = b'{"type":"io.nats.jetstream.api.v1.stream_info_response","state":{"messages":1}}'
    await attacker.append(GREETER.subject("request"), answer, {})


async def _forged_place(attacker: Attacker, recorded: Recorded) -> None:
    await attacker.append(GREETER.subject("request"), recorded.records[0].payload, {"Nats-Sequence": "1"})


async def _own_words(attacker: Attacker, recorded: Recorded) -> None:
    changed = edited(recorded.records[0])
    await attacker.append(changed.subject, changed.payload, changed.headers)


def _clock(*hours: int) -> Online:
    async def attack(attacker: Attacker, _recorded: Recorded) -> None:
        await attacker.put_a_clock_ahead(*hours)

    return attack


def _appended(change: Callable[[Record], Record], sequence: int, count: int = 1) -> Online:
    """Stored messages from `sequence` on again at the end, with all that they said."""

    async def attack(attacker: Attacker, recorded: Recorded) -> None:
        await attacker.update(duplicate_window=100_000_000)
        for one in recorded.records[sequence - 1 : sequence - 1 + count]:
            changed = change(one)
            await attacker.append(changed.subject, changed.payload, changed.headers)

    return attack


def _as_it_is(record: Record) -> Record:
    return record


async def _used_again(attacker: Attacker, recorded: Recorded) -> None:
    """The last batch is cut, and its numbers are given to genuine events of another producer."""
    await attacker.rebuild(recorded.records[:27])
    await attacker.go_on(TEXTSTATS, 3)


def _forked(*, goes_back: int) -> Online:
    """Whoever has a copy of a producer's key and of its chain writes another history with it."""

    async def attack(attacker: Attacker, recorded: Recorded) -> None:
        await attacker.fork(GREETER, recorded.records, goes_back)

    return attack


def _on_the_store() -> Iterator[Case]:
    yield Case("a byte on the disk is changed", "in turn", only(11), on_disk=_flipped)
    yield Case("a byte on the disk is changed, its index gone", "in turn", only(11), on_disk=_flipped_without_index)
    yield Case("half of the file is cut off", "in turn", only(16), on_disk=_cut_on_disk)
    yield Case("the last batch is gone", "in turn", only(28), _without_the_last_batch)
    yield Case("a limit pushes the start out", "in turn", only(1), _lowered_limit)
    yield Case("the stream is deleted", "in turn", only(1), _deleted)
    yield Case("an empty stream is in its place", "in turn", only(1), _empty)
    yield Case("an answer of the server is steered there", "in turn", only(31), _steered)
    yield Case("a message forges its place", "in turn", only(31), _forged_place)
    yield Case("somebody without a key adds an event", "in turn", only(31), _own_words)
    yield Case("a producer's clock is an hour ahead", "in turn", only(31), _clock(1))
    yield Case("a producer's clock runs back within a batch", "in turn", only(32), _clock(0, -1, 0))
    yield Case("the rest is renumbered", "in turn", only(1), _rebuilt(lambda r, _: renumbered(r[12:])))
    yield Case("sequences are used again", "in turn", (25, 30), _used_again)
    yield Case("a copied key: a second event with a number", "in turn", only(31), _forked(goes_back=1))
    yield Case("a copied key: the next number, another history", "in turn", only(31), _forked(goes_back=0))


def _replayed() -> Iterator[Case]:
    """Genuine messages with their genuine signatures, stored again."""
    under_approvals = APPROVALS.subject("request")
    yield Case("a genuine event is stored again", "in turn", only(31), _appended(_as_it_is, 27))
    yield Case("a genuine batch is stored again", "in turn", only(31), _appended(_as_it_is, 25, 3))
    yield Case(
        "a genuine batch again under another's subject", "in turn", only(31),
        _appended(lambda record: record._replace(subject=under_approvals), 25, 3),
    )  # fmt: skip
    yield Case(
        "a genuine batch again under another slot", "in turn", (31, 33),
        _appended(lambda record: record._replace(subject=Producer("greeter", "1", is_agent=True).subject("request")), 1, 3),
    )  # fmt: skip
    yield Case("a batch of an earlier run in a later one", "two runs", only(7), _appended(_as_it_is, 1, 3))
    yield Case("a run's last event says that it is the other's", "two runs", only(6), _rebuilt(_of_the_first_run))


def _of_the_first_run(records: list[Record], _: Recorded) -> list[Record]:
    """The second run's last event, as if the first run had written it."""
    first, second = (decode_event(records[place].payload).epoch.encode() for place in (0, 5))
    assert first != second
    changed = records[5].payload.replace(second, first)
    return [*records[:5], resent(records[5], [changed])]


def _cut_and_forgotten(home: Home) -> None:
    _cut_on_disk(home)
    forget_heads(home)


def _put_back(size: int) -> Callable[[Home], None]:
    """The store as it was when it held so many messages; no producer remembers, the checkpoints of this host do."""

    def attack(home: Home) -> None:
        put_back(home, size)
        forget_heads(home)

    return attack


async def _go_on(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.go_on(GREETER, 6)


async def _same_again(attacker: Attacker, recorded: Recorded) -> None:
    await attacker.rebuild(recorded.records)


async def _rewritten(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.rewrite(and_seal=False)


async def _rewritten_and_sealed(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.rewrite(and_seal=True)


async def _false_checkpoint(attacker: Attacker, recorded: Recorded) -> None:
    genuine = recorded.records[-1]
    await attacker.append(genuine.subject, genuine.payload.replace(b"\n34\n", b"\n33\n"), {})


async def _two_roots(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.publish_checkpoint(34, bytes(32))


async def _junk_checkpoint(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.append(subjects.SEAL, b'{"stream":"AUDIT","seq":1}', {})


async def _sealed_with_a_stolen_key(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.publish_handover()
    await attacker.publish_checkpoint(36, bytes(32), stolen=True)


async def _sealed_without_a_handover(attacker: Attacker, _recorded: Recorded) -> None:
    await attacker.publish_checkpoint(35, bytes(32))


def _sealed() -> Iterator[Case]:
    """What a chain of signatures alone does not show; the first 30 messages are under one checkpoint, 34 under the next."""
    yield Case("the end is cut, no producer remembers", "sealed", only(18), on_disk=_cut_and_forgotten)
    yield Case("the end is cut at a checkpoint", "sealed", only(31), on_disk=_put_back(30))
    yield Case("the end is cut between two checkpoints", "sealed", only(33), on_disk=_put_back(32))
    yield Case("the end is cut, and its sequences are used again", "sealed", only(31), _go_on, _put_back(30))
    yield Case("the same events at other times", "sealed", only(1), _same_again)
    yield Case("the same, and the sealer's own hashes are gone", "sealed", (1, 30), _same_again, forget_hashes)
    yield Case("another history, all producers' keys stolen", "sealed", only(1), _rewritten)
    yield Case("another history, the sealer's key stolen too", "sealed", only(1), _rewritten_and_sealed)
    yield Case("a checkpoint that nobody signed", "sealed", only(36), _false_checkpoint)
    yield Case("a checkpoint of before is published again", "sealed", only(36), _appended(_as_it_is, 31))
    yield Case("the sealer signs two roots for one size", "sealed", only(36), _two_roots)
    yield Case("an answer is steered to the sealer's subject", "sealed", only(36), _junk_checkpoint)
    yield Case("a key seals that was handed over", "sealed", only(37), _sealed_with_a_stolen_key, hand_over_seal)
    yield Case("a new key seals without a hand-over", "sealed", only(36), _sealed_without_a_handover, hand_over_seal)


CASES: tuple[Case, ...] = (*_in_turn(), *_in_bulk(), *_on_the_store(), *_replayed(), *_sealed())
