"""How far a long reading of the trail is, on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bus.audit.read import Reader

_WIDTH = 30
_EVERY_S = 0.2


class Progress:
    """A bar on standard error with the rate and the time that is left; nothing where nobody looks."""

    def __init__(self, first: int, last: int, now: Callable[[], float] = time.monotonic) -> None:
        self._first, self._last, self._now = first, last, now
        self._began = self._shown = now()
        self._is_wanted = sys.stderr.isatty() and last >= first
        self._is_begun = False

    @classmethod
    async def over(cls, reader: Reader) -> Progress:
        """Of a reading of the whole stream as it is now."""
        bounds = await reader.bounds()
        return cls(bounds.first, bounds.last)

    def at(self, sequence: int) -> None:
        """The stream sequence that was read."""
        now = self._now()
        if self._is_wanted and now - self._shown >= _EVERY_S:
            self._shown, self._is_begun = now, True
            print(f"\r{self._line(sequence, now)}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line empty for what comes."""
        if self._is_begun:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _line(self, sequence: int, now: float) -> str:
        done, total = sequence - self._first + 1, self._last - self._first + 1
        rate = done / max(now - self._began, 1e-6)
        filled = min(_WIDTH, _WIDTH * done // total)
        left_s = max(0, total - done) / max(rate, 1e-6)
        return (
            f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {sequence} of {self._last}, {rate:.0f}/s, {left_s:.0f} s left "
        )


class Watch:
    """A bar for readings that say themselves how far they are: call it with the sequence reached and the last one."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __call__(self, reached: int, last: int) -> None:
        if self._progress is None:
            self._progress = Progress(reached + 1, last)
        self._progress.at(reached)

    def end(self) -> None:
        """Leave the line empty for what comes."""
        if self._progress is not None:
            self._progress.end()
