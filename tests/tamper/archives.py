"""What is done to a trail that was rotated: AUDIT_1_36, one from 37 on, and AUDIT, all of it sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bus.audit.archives import LIST, MESSAGES
from bus.surroundings import Home
from schemas import names
from tests.tamper.cases import Case
from tests.tamper.changes import Recorded, only
from tests.tamper.store import Attacker, block_of

_FIRST = "AUDIT_1_36"


def _flipped(stream: str, number: str) -> Callable[[Home], None]:
    """A digit of the event with this number is another on the disk."""

    def attack(home: Home) -> None:
        block = block_of(home, stream)
        before = block.read_bytes()
        changed = before.replace(b'"reason":"%b"}' % number.encode(), b'"reason":"x%b"}' % number[1:].encode())
        assert changed != before
        block.write_bytes(changed)

    return attack


async def _first_deleted(attacker: Attacker, _: Recorded) -> None:
    await attacker.delete(_FIRST)


async def _second_deleted(attacker: Attacker, _: Recorded) -> None:
    await attacker.delete(await attacker.last_archive())


async def _message_removed(attacker: Attacker, _: Recorded) -> None:
    await attacker.copy(_FIRST, _FIRST, without=8)


async def _message_removed_and_counted(attacker: Attacker, _: Recorded) -> None:
    await attacker.copy(_FIRST, _FIRST, without=8, metadata={MESSAGES: "35"})


async def _other_range(attacker: Attacker, _: Recorded) -> None:
    await attacker.copy(await attacker.last_archive(), _FIRST)


async def _unsealed(attacker: Attacker, _: Recorded) -> None:
    open_again: dict[str, Any] = {"sealed": False, "deny_delete": False, "deny_purge": False}
    await attacker.copy(_FIRST, _FIRST, **open_again)


async def _forgotten(attacker: Attacker, _: Recorded) -> None:
    await attacker.update(metadata={LIST: _FIRST})


async def _left_out(attacker: Attacker, _: Recorded) -> None:
    await attacker.update(metadata={LIST: await attacker.last_archive()})


async def _made_anew(attacker: Attacker, _: Recorded) -> None:
    await attacker.make_anew()


async def _another_copy(attacker: Attacker, recorded: Recorded) -> None:
    genuine = recorded.records[26]
    await attacker.make_anew(first_seq=27)
    await attacker.append(genuine.subject, genuine.payload, genuine.headers)


def _rotated() -> Iterator[Case]:
    """A copy that is changed, or that the server takes for damaged, would be missed by its producer only."""
    yield Case("an archive is deleted", "rotated", only(1), _first_deleted)
    yield Case("a later archive is deleted", "rotated", only(37), _second_deleted, is_alike=True)
    yield Case("a byte of an archive is changed", "rotated", only(11), on_disk=_flipped(_FIRST, "3.1"), is_alike=True)
    yield Case("a message of an archive is gone", "rotated", only(8), _message_removed, is_alike=True)
    yield Case("the same, and its count is right again", "rotated", only(8), _message_removed_and_counted)
    yield Case("another range is in an archive's place", "rotated", only(1), _other_range, is_alike=True)
    yield Case("an archive is not sealed any more", "rotated", (1, 36), _unsealed)
    yield Case("the list forgets the last archive", "rotated", only(37), _forgotten, is_alike=True)
    yield Case("the list forgets the first archive", "rotated", only(1), _left_out, is_alike=True)
    yield Case("an empty stream goes on after the archives", "rotated", only(27), _made_anew, is_alike=True)
    yield Case(
        "the copy that a producer goes on from is changed", "rotated", only(30), on_disk=_flipped(names.AUDIT, "9.2")
    )
    yield Case("another message is in a copy's place", "rotated", only(27), _another_copy, is_alike=True)


ROTATED: tuple[Case, ...] = tuple(_rotated())
