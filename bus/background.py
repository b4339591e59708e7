"""Work that runs beside the loop that began it, and is finished before the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """A set of tasks with an owner; `drain` is how it ends. Keeping them here also keeps them from being collected."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` from now on."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def drain(self, timeout_s: float) -> int:
        """Wait for all of it, cancel what is left, and wait for that; returns how many were cancelled."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)
        unfinished = list(self._running)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
        return len(unfinished)
