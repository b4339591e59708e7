"""Work that runs beside the loop that began it, and is finished before the process ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

_log = structlog.get_logger("process")


OnFailure = Callable[[str], None]
"""Told why something that the process cannot do without has ended."""


def only_logged(reason: str) -> None:
    """Where nobody can act on it."""
    _log.error("background.failed", reason=reason)


def vital(work: Coroutine[Any, Any, None], what: str, on_failure: OnFailure = only_logged) -> asyncio.Task[None]:
    """Run a loop that must not end by itself: when it does, `on_failure` is told, and the process should end."""
    return watched(asyncio.create_task(work, name=what), what, on_failure)


def watched(task: asyncio.Task[None], what: str, on_failure: OnFailure) -> asyncio.Task[None]:
    """The task; when it ends with an error, which nobody expected, `on_failure` is told."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            _log.error("background.ended", what=what, exc_info=error)
            on_failure(f"{what} ended: {type(error).__name__}")

    task.add_done_callback(ended)
    return task


class Background:
    """A set of tasks with an owner; `drain` is how it ends. Keeping them here also keeps them from being collected."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work`, up to where it first waits at once, and from then on beside the rest."""
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)
        if not task.done():
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return task

    async def settle(self) -> None:
        """Wait for all that runs now."""
        if self._running:
            await asyncio.wait(set(self._running))

    async def drain(self, timeout_s: float) -> int:
        """Wait for all of it, what is begun meanwhile too, cancel what is left, and wait for that.

        Returns how many were cancelled.
        """
        ends_s = time.monotonic() + timeout_s
        while self._running and (left_s := ends_s - time.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left_s)
        unfinished = list(self._running)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
        return len(unfinished)
