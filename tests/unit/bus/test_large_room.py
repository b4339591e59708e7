"""The room for large parts of one process: never more than it has, and everybody gets a turn."""

from __future__ import annotations

import asyncio

import pytest

from agents.runtime.large import Room
from schemas.errors import InvalidArgument


async def test_who_does_not_fit_waits_until_there_is_room() -> None:
    """A second holder waits while the first one holds too much, and goes on when that ends, also by an error."""
    room, entered, leave = Room(10), asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with room.held(7):
            entered.set()
            await leave.wait()
            raise ValueError

    first = asyncio.create_task(hold())
    await entered.wait()
    async with room.held(3):
        second = asyncio.create_task(_held(room, 4))
        await asyncio.sleep(0)
        assert not second.done()
    leave.set()
    with pytest.raises(ValueError, match=r"^$"):
        await first
    assert await second == 4


async def test_who_never_fits_is_refused_at_once() -> None:
    """More than the whole room is an error, not a wait without end."""
    with pytest.raises(InvalidArgument, match="over the limit"):
        await _held(Room(10), 11)


async def _held(room: Room, size: int) -> int:
    async with room.held(size):
        return size
