"""How late the event loop is: the time between when a timer should have fired and when it did."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from bus.health.checks import OK, Finding

EVERY_S: Final = 0.5
_REMEMBERED: Final = 60
"""Looks that are remembered: half a minute."""
LATE_S: Final = 1.0
TOO_LATE_S: Final = 5.0


class Lateness:
    """Of the loop that runs it."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=_REMEMBERED)
        self._due_s = time.monotonic()
        self.on_late: Callable[[float], None] | None = None
        """Told of each look that was late by a second or more, in seconds, once the loop runs again."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._due_s = time.monotonic() + EVERY_S
            await asyncio.sleep(EVERY_S)
            late_s = max(0.0, time.monotonic() - self._due_s)
            self._seen.append(late_s)
            if late_s >= LATE_S and self.on_late is not None:
                self.on_late(late_s)

    @property
    def worst_s(self) -> float:
        """The greatest lateness of the last half minute, with what is under way."""
        return max((*self._seen, time.monotonic() - self._due_s, 0.0))

    def check(self) -> Finding:
        """Late: somebody computes, or waits for a file, where nobody may. Just now, for long: callers give up by now."""
        worst_s = self.worst_s
        if worst_s < LATE_S:
            return OK
        is_just_now = max(self._seen[-1] if self._seen else 0.0, time.monotonic() - self._due_s) >= TOO_LATE_S
        reason = f"the event loop stood still for {worst_s:.1f} s: a handler computes in it; use asyncio.to_thread"
        return Finding("failed" if is_just_now else "degraded", reason)
