"""Large parts for handlers: a message has its content when the handler sees it, and what the handler gives may be large.

Stands around whatever answers. A task's snapshot and updates keep references: they are stored as they come
and go here, before the task hears of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from agents.changes import Asked
from agents.context import Context, NoTask, Work
from agents.runtime.answering.answers import Answering
from bus.parts import LARGE_BYTES, SMALL_BYTES, WEEK_S, LargeParts
from schemas import a2a
from schemas.errors import InvalidAgentResponse, InvalidArgument, PayloadTooLarge
from schemas.parts import content_of, is_reference

Parts = tuple[a2a.Part, ...]
HELD_BYTES = 256 * 1024 * 1024
"""Of all messages that are worked on at a time; others with large parts wait."""
_MOST_KEPT_BYTES = 896 * 1024
_MUCH_BYTES = 256 * 1024
"""Once a task's messages and results hold so much, only what is small stays in it."""


class Room:
    """A number of bytes that may be held at a time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def held(self, size: int) -> AsyncIterator[None]:
        """Wait until there is room for `size` bytes, and hold them.

        Raises:
            InvalidArgument: there is never so much room.
        """
        if size > self._size:
            raise InvalidArgument(f"a task with {size} bytes in large parts is over the limit of {self._size}")
        while self._held + size > self._size:
            self._freed.clear()
            await self._freed.wait()
        self._held += size
        try:
            yield
        finally:
            self._held -= size
            self._freed.set()


def require_keepable(payload: bytes) -> None:
    """A task is kept with its message, and what is said of it has to fit beside it.

    Raises:
        InvalidArgument: there would be no room.
    """
    if len(payload) > _MOST_KEPT_BYTES:
        raise InvalidArgument(
            f"a message of {len(payload)} bytes is too large to be kept with a task; send what is large in it as "
            "large parts (section 13 of the binding), as this product's own clients do"
        )


class LargeAnswering:
    """Answers as `inner` does, with large parts."""

    def __init__(self, inner: Answering, parts: LargeParts, room: Room) -> None:
        self._inner = inner
        self._parts = parts
        self._room = room

    async def answer(self, context: Context) -> tuple[a2a.Part, ...]:
        """See `Answering.answer`.

        Raises:
            InvalidArgument, PartNotFound, Unavailable: a large part of the message cannot be had.
        """
        if isinstance(context.work, NoTask) and not _have_references((context.message,)):
            return await self._inner.answer(context)  # almost every request
        given = (context.message, *context.work.history)
        if not _have_references(given):
            return await self._answer(context, context.work.history)
        theirs = _distinct(given)
        async with self._room.held(sum(self._parts.size_of(message, context.caller) for message in theirs)):
            contents = [
                (message.parts, (await self._parts.whole_message(message, context.caller)).parts) for message in theirs
            ]
            message, *history = [_whole(message, contents) for message in given]
            return await self._answer(msgspec.structs.replace(context, message=message), tuple(history))

    async def close(self) -> None:
        """See `Answering.close`."""
        await self._inner.close()

    async def _answer(self, context: Context, history: tuple[a2a.Message, ...]) -> tuple[a2a.Part, ...]:
        if isinstance(context.work, NoTask):
            return await self._inner.answer(context)  # a message in one piece: the responder sees whether it fits
        large = _LargeWork(context, self._parts, history)
        work: Work = large
        answer = await self._inner.answer(msgspec.structs.replace(context, work=work))
        return answer if large.has_given else await large.lighter(answer)


def _have_references(messages: tuple[a2a.Message, ...]) -> bool:
    for message in messages:
        for part in message.parts:
            if is_reference(part):
                return True
    return False


def _distinct(messages: tuple[a2a.Message, ...]) -> list[a2a.Message]:
    """Those of the caller that have references: a task's message is in its history too."""
    found: list[a2a.Message] = []
    for message in messages:
        is_theirs = message.role == "ROLE_USER" and _have_references((message,))
        if is_theirs and all(message.parts != other.parts for other in found):
            found.append(message)
    return found


def _bytes_inside(parts: Parts) -> int:
    return sum(len(found[1]) for part in parts if (found := content_of(part)))


def _whole(message: a2a.Message, contents: list[tuple[Parts, Parts]]) -> a2a.Message:
    for light, whole in contents:
        if message.role == "ROLE_USER" and message.parts == light:
            return msgspec.structs.replace(message, parts=whole)
    return message


class _LargeWork:
    """The task behind a request; what it is given is stored beside it when it is large."""

    def __init__(self, context: Context, parts: LargeParts, history: tuple[a2a.Message, ...]) -> None:
        self._work: Work = context.work
        self._caller = context.caller
        self._parts = parts
        self._known = history
        self._inside_bytes = sum(_bytes_inside(message.parts) for message in context.work.history)
        self.has_given = False

    @property
    def history(self) -> tuple[a2a.Message, ...]:
        """See `Work`; with the content of what was there when the handler began."""
        return self._known + self._work.history[len(self._known) :]

    @property
    def task(self) -> str:
        """See `Work`."""
        return self._work.task

    @property
    def asked(self) -> tuple[Asked, ...]:
        """See `Work`."""
        return self._work.asked

    @property
    def is_durable(self) -> bool:
        """See `Work`."""
        return self._work.is_durable

    def when_over(self, do: Callable[[], Awaitable[None]]) -> None:
        """See `Work`."""
        self._work.when_over(do)

    async def keep_asked(self, asked: tuple[Asked, ...]) -> None:
        """See `Work`."""
        await self._work.keep_asked(asked)

    async def progress(self, text: str) -> None:
        """See `Work`."""
        await self._work.progress(text)

    async def give(self, parts: tuple[a2a.Part, ...], *, anew: bool = False) -> None:
        """See `Work`."""
        self.has_given = True
        await self._work.give(await self.lighter(parts), anew=anew)

    async def artifact(self, artifact: a2a.Artifact) -> None:
        """See `Work`."""
        await self._work.artifact(msgspec.structs.replace(artifact, parts=await self.lighter(artifact.parts)))

    async def next_message(self) -> a2a.Message:
        """See `Work`."""
        return await self._parts.whole_message(await self._work.next_message(), self._caller)

    async def lighter(self, parts: tuple[a2a.Part, ...]) -> tuple[a2a.Part, ...]:
        """The parts as the task keeps them.

        Raises:
            InvalidAgentResponse: one is over the limit. Unavailable: it cannot be stored.
        """
        over = LARGE_BYTES if self._inside_bytes <= _MUCH_BYTES else SMALL_BYTES
        try:
            light = await self._parts.lighter(parts, self._caller, over=over, keep_s=WEEK_S)
        except PayloadTooLarge as error:
            raise InvalidAgentResponse(f"a result cannot be given: {error}") from None
        self._inside_bytes += _bytes_inside(light)
        return light
