"""Streams of updates over NATS: the agent's frames, and how a caller checks and resumes them.

A stream is a row of messages on the reply subject. Each has its number in `Agentbus-Frame`: 1, 2, 3 …; an
update has the task's number of it in `Agentbus-Event` too. A frame without a body only says that the stream
lives. The last frame has `Agentbus-End: complete` and no body, or is an error object. Core NATS gives no
backpressure and may lose frames, so a caller that finds a gap, a silence or an end that was none asks with
SubscribeToTask for what comes after the last update that it has: the agent keeps them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from bus.connection import Msg
from bus.tasks.copies import Update
from schemas import a2a, names, protojson
from schemas.errors import A2AError, Unavailable

KEEP_ALIVE_S = 15.0
SILENCE_S = 3 * KEEP_ALIVE_S
"""A stream that says nothing for so long is taken for broken."""
_MOST_WAITING = 1024
"""Frames that wait for a slow consumer; beyond it the stream is left, and taken up again from the agent's log."""
_TAKE_UP_FOR_S = 60.0
_RETRY_S = 0.25
COMPLETE = "complete"

SendFrame = Callable[[bytes, dict[str, str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stream:
    """What a streaming operation answers: updates, until there will be no more.

    `has_begun_work`: the first update tells the caller which task it began, so it is sent whatever happens. Without it
    the caller could only ask again, and the work would be done twice.
    """

    updates: AsyncGenerator[Update, None]
    has_begun_work: bool = False


async def send_frames(stream: Stream, send: SendFrame, draining: asyncio.Event) -> None:
    """Send every update as a frame, then the end.

    Raises:
        Unavailable: the process is draining; the caller takes the stream up again at another instance.
    """
    ending = asyncio.create_task(draining.wait())
    async with aclosing(stream.updates) as updates:
        coming = asyncio.create_task(_next(updates))
        try:
            number = 0
            is_owed = stream.has_begun_work
            while True:
                either: set[asyncio.Task[Any]] = {coming} if is_owed else {coming, ending}
                await asyncio.wait(either, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
                number += 1
                frame = {names.FRAME: str(number)}
                if not coming.done():
                    if ending.done() and not is_owed:
                        raise Unavailable("this instance is ending; subscribe to the task again")
                    await send(b"", frame)
                elif (update := coming.result()) is None:
                    await send(b"", frame | {names.END: COMPLETE})
                    return
                else:
                    await send(update.body, frame | {names.EVENT: str(update.event)})
                    is_owed = False
                    coming = asyncio.create_task(_next(updates))
        finally:
            ending.cancel()
            coming.cancel()
            await asyncio.wait({coming})  # a generator that runs cannot be closed


async def _next(updates: AsyncGenerator[Update, None]) -> Update | None:
    return await anext(updates, None)


class Broken(Unavailable):
    """A stream stopped before its end; it can be taken up again."""


class Frames:
    """The caller's side of one stream: frames in order, or `Broken`."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[Msg | A2AError] = asyncio.Queue()
        self._expected = 1
        self._has_dropped = False

    def arrived(self, message: Msg) -> None:
        """Take a frame; those beyond the limit are dropped, and found missing."""
        if self._arrived.qsize() < _MOST_WAITING:
            self._arrived.put_nowait(message)
        else:
            self._has_dropped = True

    def failed(self, error: A2AError) -> None:
        """The stream cannot begin."""
        self._arrived.put_nowait(error)

    async def next(self, silence_s: float) -> Msg | None:
        """The next frame with an object or an error; None at the end.

        Raises:
            Broken: a frame is missing, or none came for `silence_s`. A2AError: what `failed` was told.
        """
        while True:
            message = await self._taken(silence_s)
            headers = message.headers
            if headers.get(names.SERVICE_ERROR_CODE):
                return message
            if headers.get(names.FRAME) != str(self._expected):
                raise Broken(f"frame {self._expected} of the stream is missing")
            self._expected += 1
            if headers.get(names.END):
                return None
            if message.data:
                return message

    async def _taken(self, silence_s: float) -> Msg:
        if self._has_dropped and self._arrived.empty():
            raise Broken("the consumer was too slow for the stream")
        try:
            async with asyncio.timeout(silence_s):
                message = await self._arrived.get()
        except TimeoutError:
            raise Broken(f"the stream was silent for {silence_s:g} s") from None
        if isinstance(message, A2AError):
            raise message
        return message


class Place:
    """How far a caller has come with a stream, and what it asks to go on."""

    def __init__(self, operation: str, payload: bytes, last_event: int | None) -> None:
        self.operation = operation
        self.payload = payload
        self._last_event = last_event
        self._task = ""
        self._broken_since: float | None = None

    def headers(self) -> dict[str, str]:
        """What a request for the rest carries besides."""
        return {} if self._last_event is None else {names.LAST_EVENT: str(self._last_event)}

    def passed(self, message: Msg, response: a2a.StreamResponse) -> None:
        """A frame was taken."""
        self._broken_since = None
        event = (message.headers).get(names.EVENT, "")
        if event.isdecimal():
            self._last_event = int(event)
        for update in (response.status_update, response.artifact_update):
            self._task = update.task_id if update else self._task
        self._task = response.task.id if response.task else self._task

    async def take_up(self, error: A2AError) -> None:
        """Prepare to ask for the rest, after a moment.

        Raises:
            A2AError: `error`, when nothing came yet that names the task, or it has been tried for a minute.
        """
        now = time.monotonic()
        self._broken_since = self._broken_since or now
        if not self._task or now - self._broken_since > _TAKE_UP_FOR_S:
            raise error
        self.operation = "SubscribeToTask"
        self.payload = protojson.encode(a2a.SubscribeToTaskRequest(id=self._task))
        await asyncio.sleep(_RETRY_S)
