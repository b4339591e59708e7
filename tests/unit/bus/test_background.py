"""Work beside a loop: what is begun is finished, or cut short and counted."""

from __future__ import annotations

import asyncio

from bus.background import Background


async def test_what_is_begun_while_it_drains_is_finished_too() -> None:
    """A request that was accepted just before the end may begin work: that is waited for as well."""
    background, finished = Background(), list[str]()
    first, second = asyncio.Event(), asyncio.Event()

    async def work(name: str, gate: asyncio.Event) -> None:
        await gate.wait()
        finished.append(name)

    async def begins_another() -> None:
        await first.wait()
        background.begin(work("second", second))
        asyncio.get_running_loop().call_soon(second.set)

    background.begin(begins_another())
    draining = asyncio.create_task(background.drain(10))
    await asyncio.sleep(0)
    first.set()
    assert await draining == 0
    assert finished == ["second"]


async def test_what_does_not_end_in_time_is_cut_short_and_counted() -> None:
    """`drain` returns at its time, with nothing left running."""
    background = Background()
    background.begin(asyncio.Event().wait())  # type: ignore[arg-type]  # True, when it is set: never
    assert await background.drain(0) == 1
    assert len(background) == 0
