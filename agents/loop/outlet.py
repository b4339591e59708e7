"""Text of a model on its way to the task that it answers: as it comes, and not so often that the task's log is flooded.

An answer that begins again (another model took over; a turn ended in tool calls after some text) takes the place of what
was given: the first piece of the new one is an update that does not append. So the artifact is right at the end, and
whoever watches sees all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from agents.llm import SwitchedOver
from schemas import a2a

INTERVAL_S = 0.05
MOST_CHARS = 1024
Give = Callable[[tuple[a2a.Part, ...], bool], Awaitable[None]]
"""Gives parts to a task; True: in the place of what was given before."""


class Take(Protocol):
    """Hears an answer as it comes."""

    def text(self, piece: str) -> None:
        """The next piece of the text."""

    def switched(self, over: SwitchedOver) -> None:
        """What came is void: another model answers from the start."""


class Way(Take, Protocol):
    """The way to whoever watches; see `Outlet`."""

    def void(self) -> None: ...

    async def flush(self) -> None: ...

    async def finish(self, text: str) -> None: ...

    async def close(self) -> None: ...


class Unheard:
    """Nobody wants the pieces: the answer is given as a whole."""

    def text(self, piece: str) -> None:
        """See `Take`."""

    def switched(self, over: SwitchedOver) -> None:
        """See `Take`."""

    def void(self) -> None:
        """Nothing was given."""

    async def flush(self) -> None:
        """Nothing waits."""

    async def finish(self, text: str) -> None:
        """Nothing was given."""

    async def close(self) -> None:
        """Nothing runs."""


@dataclass(slots=True)
class _Update:
    text: str
    is_new: bool
    is_mark: bool = False


class Outlet:
    """The way out of one conversation. Close it at the end, however that is.

    An update goes out at once when the last one was `interval_s` ago, or when there are `most_chars`; while one is
    being stored, text is gathered. So a slow server makes updates longer, never the model's answer slower.
    """

    def __init__(self, give: Give, interval_s: float = INTERVAL_S, most_chars: int = MOST_CHARS) -> None:
        self._give = give
        self._interval_s, self._most_chars = interval_s, most_chars
        self._waiting: deque[_Update] = deque()
        self._some, self._enough, self._none = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._stands = ""
        """The text that the task has when all that waits is given."""
        self._is_new = self._is_flushing = False
        self._pump: asyncio.Task[None] | None = None

    def text(self, piece: str) -> None:
        """See `Take`. Raises what the task's `give` raised: nobody has to pay for an answer that cannot be given."""
        if not piece:
            return
        last = self._waiting[-1] if self._waiting else None
        if last is None or last.is_mark or self._is_new:
            self._add(_Update(piece, self._is_new))
        else:
            last.text += piece
        self._stands = piece if self._is_new else self._stands + piece
        self._is_new = False
        if self._has_enough():
            self._enough.set()

    def switched(self, over: SwitchedOver) -> None:
        """Show that the answer begins again; the mark is gone when it does."""
        mark = f"[the model failed ({over.cause}): {over.provider}/{over.model} answers from the start]\n"
        self._waiting.clear()
        self._add(_Update(mark, is_new=True, is_mark=True))
        self._enough.set()
        self._stands = mark
        self.void()

    def void(self) -> None:
        """What was given is no part of the answer: what comes next takes its place."""
        self._is_new = bool(self._stands)

    async def flush(self) -> None:
        """Return when everything is given. Raises as the task's `give`."""
        if self._pump is None:
            return
        self._is_flushing = True
        self._enough.set()
        idle = asyncio.ensure_future(self._none.wait())
        try:
            await asyncio.wait({self._pump, idle}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()
            self._is_flushing = False
        if self._pump.done():
            self._pump.result()

    async def finish(self, text: str) -> None:
        """Give what is left, so that the task has exactly `text`; a task that was given nothing still has nothing."""
        if self._stands and (self._is_new or self._stands != text):
            self._is_new = True
            self.text(text)
        await self.flush()

    async def close(self) -> None:
        """Stop; what was not given by now never is."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})

    def _add(self, update: _Update) -> None:
        self._waiting.append(update)
        self._none.clear()
        self._some.set()
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        elif self._pump.done():
            self._pump.result()

    def _has_enough(self) -> bool:
        return (
            self._is_flushing
            or len(self._waiting) > 1
            or sum(len(one.text) for one in self._waiting) >= self._most_chars
        )

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            while self._waiting:
                update = self._waiting.popleft()
                await self._give((a2a.Part(text=update.text, media_type="text/plain"),), update.is_new)
                if not self._waiting:
                    self._none.set()
                await self._pause()
            self._some.clear()

    async def _pause(self) -> None:
        if self._has_enough():
            return
        self._enough.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._interval_s):
                await self._enough.wait()
