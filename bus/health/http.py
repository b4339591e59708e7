"""A small HTTP/1.1 responder on the event loop of the process: GET and HEAD, one request a connection.

Bounded: so many connections at a time, and the oldest gives way to a new one, so that nobody who holds connections
open keeps a probe out; 8 KiB of request; a few seconds for the whole. A request with a body is refused. Nothing of
what was asked stands in an answer. Answered from the loop that does the work, so a loop that stands still answers
nothing; not guaranteed is a time.

Source: RFC 9110, RFC 9112, as h11 reads them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import h11

from bus.background import only_logged, watched

MAX_REQUEST_BYTES: Final = 8 * 1024
MAX_CONNECTIONS: Final = 16
TIMEOUT_S: Final = 5.0
_MOST_PARAMETERS: Final = 16
_METHODS: Final = frozenset({b"GET", b"HEAD"})
_TEXT: Final = "text/plain; charset=utf-8"
_FIXED: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Connection", "close"))


class Asked(NamedTuple):
    """A request: its path as it was sent, the parameters that follow it, and what its sender accepts."""

    path: str
    query: Mapping[str, str]
    accept: str = ""


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes
    media_type: str = _TEXT


Page = Callable[[Asked], Awaitable[Answer]]
_NOT_FOUND: Final = Answer(404, b"there is nothing here; see /health and /metrics\n")
_NOT_ALLOWED: Final = Answer(405, b"only GET and HEAD\n")
_UNREADABLE: Final = Answer(400, b"the request cannot be read\n")
_NO_BODY: Final = Answer(413, b"a request has no body here\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one responder takes on."""

    connections: int = MAX_CONNECTIONS
    request_bytes: int = MAX_REQUEST_BYTES
    timeout_s: float = TIMEOUT_S


class Responder:
    """Answers on one socket with the pages of a table. Open it with `start`, end it with `close`."""

    def __init__(self, pages: Mapping[str, Page], limits: Limits | None = None) -> None:
        self._pages = pages
        self._limits = limits or Limits()
        self._open: dict[asyncio.Task[None], None] = {}
        """Connections, the oldest first, without those that were told to give way."""
        self._all: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Answer who connects to `listening`, which is closed at the end."""
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=self._limits.request_bytes)

    async def close(self) -> None:
        """Answer no more; connections end at once."""
        if self._server is not None:
            self._server.close()
        for task in self._all:
            task.cancel()
        await asyncio.gather(*self._all, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(self._open) >= self._limits.connections:
            # taken out at once: many are accepted in one turn of the loop, before the first has ended
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        task = watched(asyncio.create_task(self._serve(reader, writer)), "an answer about health", only_logged)
        self._open[task] = None
        self._all.add(task)
        task.add_done_callback(partial(self._ended, writer))

    def _ended(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        # here, and not in the task, which may be told to give way before it ever ran
        writer.transport.abort()  # who has read the answer has closed by now
        self._open.pop(task, None)
        self._all.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                await self._answer_one(_Exchange(reader, writer, self._limits.request_bytes))
        except (OSError, TimeoutError):
            pass  # the other side is slow, or gone: nobody to tell

    async def _answer_one(self, exchange: _Exchange) -> None:
        try:
            request = await exchange.request()
            answer = await self._answer(request) if request else _NO_BODY
        except h11.RemoteProtocolError as error:
            answer = _UNREADABLE._replace(status=error.error_status_hint)
        await exchange.send(answer)

    async def _answer(self, request: h11.Request) -> Answer:
        if request.method not in _METHODS:
            return _NOT_ALLOWED
        path, _, query = request.target.decode("ascii").partition("?")
        page = self._pages.get(path)
        if page is None:
            return _NOT_FOUND
        accept = next((value.decode("latin-1") for name, value in request.headers if name == b"accept"), "")
        try:
            asked = Asked(path, dict(parse_qsl(query, max_num_fields=_MOST_PARAMETERS)), accept)
        except ValueError:
            return _UNREADABLE
        return await page(asked)


class _Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request_bytes: int) -> None:
        self._reader = reader
        self._writer = writer
        self._size = request_bytes
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=request_bytes)
        self._is_head = False

    async def request(self) -> h11.Request | None:
        """The request; None where a body comes with it. Of another method than GET and HEAD its head is all that is read.

        Raises:
            h11.RemoteProtocolError: it is none. ConnectionError: the other side went away.
        """
        request = None
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                self._connection.receive_data(await self._reader.read(self._size))
            elif isinstance(event, h11.Request):
                request = event
                self._is_head = event.method == b"HEAD"
                if event.method not in _METHODS:
                    return request  # whatever body it announces is not waited for
            elif isinstance(event, h11.EndOfMessage):
                return request
            elif isinstance(event, h11.Data):
                return None
            else:
                raise ConnectionResetError

    async def send(self, answer: Answer) -> None:
        """Send the answer, whole."""
        length = ("Content-Length", str(len(answer.body)))
        headers = [("Content-Type", answer.media_type), length, *_FIXED]
        if answer.status == _NOT_ALLOWED.status:
            headers.append(("Allow", "GET, HEAD"))
        events: list[h11.Event] = [h11.Response(status_code=answer.status, headers=headers)]
        if not self._is_head:
            events.append(h11.Data(data=answer.body))
        for event in (*events, h11.EndOfMessage()):
            self._writer.write(self._connection.send(event) or b"")
        await self._writer.drain()
        self._writer.write_eof()
        await self._reader.read(self._size)  # until the other side has what it needs, for a reset would take it away
