"""nats-py's client with a short way through the bytes: read strictly, handed on at once, written once a tick.

nats-py reads through a stream that a task waits for, puts each message into a queue that another task empties, and
each publish wakes a third one to write; here a message goes from the socket to its handler in one step. Everything that is not a message
(PING, INFO, -ERR …), connecting and reconnecting stay nats-py's.

Source: NATS client protocol; nats-py 2.16 (`Parser`, `Client._flusher`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import structlog
from nats.aio.client import Client, Srv
from nats.aio.subscription import Subscription
from nats.errors import AuthorizationError, ProtocolError
from nats.protocol.parser import AUTHORIZATION_VIOLATION, Parser

from bus import headers as strict_headers

_log = structlog.get_logger("bus")
_LONGEST_LINE: Final = 1024 * 1024
_MUCH_UNSENT: Final = 1024 * 1024
"""With more than this in the socket's buffer, writing waits for the server to read."""


class Msg:
    """A message that arrived. `headers` are read when they are first looked at, and are strict: see `bus.headers`."""

    __slots__ = ("_headers", "_lowered", "block", "data", "reply", "subject")

    def __init__(self, subject: str, reply: str, data: bytes, block: bytes = b"") -> None:
        self.subject = subject
        self.reply = reply
        self.data = data
        self.block = block
        self._headers: dict[str, str] | None = None
        self._lowered: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """By their names as they were sent; empty when there are none."""
        if self._headers is None:
            self._headers = strict_headers.parse_block(self.block) if self.block else {}
        return self._headers

    @property
    def lowered(self) -> dict[str, str]:
        """By their names in lower case: A2A parameters are case-insensitive, NATS headers are not."""
        if self._lowered is None:
            self._lowered = strict_headers.parse_lowered(self.block) if self.block else {}
        return self._lowered


Handler = Callable[[Msg], object]
"""Called from the loop that reads the socket, so it must return at once; what takes time is a task of its own."""


class WireClient(Client):
    """A nats-py client that calls handlers itself. Used by `bus.connection` alone."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: dict[int, Handler] = {}
        self.after_read: list[Callable[[], None]] = []
        """Called once when the messages of this read of the socket have all been handed on."""
        self._ps: Parser = _Parser(self)
        self._is_write_due = False

    async def listen(self, subject: str, handler: Handler, queue: str) -> Subscription:
        """Subscribe; `handler` is known before the first message can come."""
        self.handlers[self._sid + 1] = handler
        return await self.subscribe(subject, queue=queue)

    def forget(self, subscription: Subscription) -> None:
        """Call its handler no more."""
        self.handlers.pop(subscription._id, None)  # noqa: SLF001  the number that the server knows it by

    def send(self, commands: bytes) -> bool:
        """Have whole protocol lines sent with all others of this tick; true when the sender is to `relieve` it first."""
        self._pending.append(commands)
        self._pending_data_size += len(commands)
        if not self._is_write_due:
            self._is_write_due = True
            asyncio.get_running_loop().call_soon(self._write)
        return self._pending_data_size > self._max_pending_size > 0

    async def relieve(self) -> None:
        """Wait until what is unsent has gone to the socket."""
        await self._flush_pending(force_flush=True)

    def drop_unsent(self) -> None:
        """Forget what is unsent: on closing, nats-py would write it to a socket that is gone, and fail there."""
        self._pending, self._pending_data_size = [], 0

    async def flush(self, timeout: int = 10) -> None:  # noqa: ASYNC109  nats-py's signature
        """Return when the server has read everything sent so far; nats-py's PING overtakes what is still unsent."""
        await self._flush_pending(force_flush=True)
        await super().flush(timeout)

    def end_read(self) -> None:
        """What this read of the socket brought was handed on: do what waits for that, and write what it came to."""
        if self.after_read:
            due, self.after_read = self.after_read, []
            for work in due:
                _safely(work)
        if self._is_write_due:
            self._write()

    async def _connect_to_server(self, server: Srv) -> None:
        """Connect; nats-py forgets the socket of an attempt that failed after it was made."""
        if self._transport:
            self._transport.close()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped
        await super()._connect_to_server(server)
        # Before Python 3.13.8 asyncio's writelines takes a transport that is lost for one that is full, and watches a
        # number of a file that another one gets (CPython issue 136234); its write does not.
        transport: Any = self._transport
        transport.writelines = lambda lines: transport.write(b"".join(lines))
        its_own = partial(type(transport).connect_tls, transport)  # a reconnection may have the transport of before
        transport.connect_tls = partial(_handshake, transport, its_own)

    async def _process_err(self, err_msg: str) -> None:
        """A key that is no longer taken is tried again as after any other loss: a reload may let it in a moment later."""
        if AUTHORIZATION_VIOLATION in err_msg:
            await self._process_op_err(AuthorizationError())
        else:
            await super()._process_err(err_msg)

    def _write(self) -> None:
        """Everything of this tick in one write. During an outage it is nats-py's, which sends it afterwards."""
        self._is_write_due = False
        writer = getattr(self._transport, "_io_writer", None)
        if not self._pending or writer is None or not self.is_connected or writer.transport.is_closing():
            return
        if writer.transport.get_write_buffer_size() > _MUCH_UNSENT:
            if self._flush_queue is not None and self._flush_queue.empty():
                self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())
            return
        lines, self._pending, self._pending_data_size = self._pending, [], 0
        writer.writelines(lines)


async def _handshake(transport: Any, connect_tls: Callable[..., Awaitable[None]], *where: object) -> None:
    """nats-py's own. A connection whose handshake fails is over: closing it later would wait for its end for ever."""
    try:
        await connect_tls(*where)
    except (OSError, TimeoutError, asyncio.CancelledError):
        transport._io_writer.transport.abort()  # noqa: SLF001  one seam
        transport._io_reader = transport._io_writer = None  # noqa: SLF001
        raise
    transport._io_writer._protocol._over_ssl = True  # noqa: SLF001  what asyncio's own streams know of themselves


def hpub(subject: str, reply: str, block: bytes, payload: bytes) -> bytes:
    """The lines that publish a message with headers."""
    size = len(block)
    return b"%b%b\r\n" % (f"HPUB {subject} {reply} {size} {size + len(payload)}\r\n".encode() + block, payload)


def pub(subject: str, reply: str, payload: bytes) -> bytes:
    """The lines that publish a message without headers."""
    return b"%b%b\r\n" % (f"PUB {subject} {reply} {len(payload)}\r\n".encode(), payload)


class _Parser(Parser):
    """Takes messages for `handlers` out of the bytes; nats-py's own parser gets every other line.

    As soon as nats-py's reading loop has come up, bytes come straight from the socket, and the loop sees those other
    lines alone: a stream, a future and a task between the socket and a handler cost as much as the handler.
    """

    def __init__(self, client: WireClient) -> None:
        super().__init__(client)
        self._client = client

    def reset(self) -> None:
        """Forget what was begun: the connection is a new one."""
        super().reset()
        self._rest = b""
        self._connection_number = getattr(self, "_connection_number", 0) + 1
        self._is_fed = False

    async def parse(self, data: bytes = b"") -> None:
        """For nats-py's reading loop."""
        if not self._is_fed:
            data = self._taken(data)
            self._be_fed()
        if data:
            await super().parse(data)

    def _be_fed(self) -> None:
        """Take the place of the stream's buffer, once it is empty."""
        reader = getattr(self._client._transport, "_io_reader", None)  # noqa: SLF001  one seam in two classes
        if reader is None or reader._buffer:  # noqa: SLF001
            return
        self._is_fed, number, to_loop = True, self._connection_number, reader.feed_data

        def feed(data: bytes) -> None:
            if number != self._connection_number:
                return  # the rest of a connection that is over
            try:
                if others := self._taken(data):
                    to_loop(others)
            except ProtocolError as error:
                reader.set_exception(error)

        reader.feed_data = feed

    def _taken(self, data: bytes) -> bytes:
        """Hand on every message; returns the other lines. What is not all there yet waits for the rest of it."""
        if self._rest:
            data = self._rest + data
        at, others = 0, b""
        try:
            while (line_end := data.find(b"\r\n", at)) >= 0:
                after = line_end + 2
                if data[at] not in _MESSAGES:
                    others += data[at:after]
                elif (after := self._take(data, at, line_end)) < 0:
                    break
                at = after
        finally:
            self._rest = data[at:]
            self._client.end_read()
        if line_end < 0 and len(self._rest) > _LONGEST_LINE:
            raise ProtocolError
        return others

    def _take(self, data: bytes, at: int, line_end: int) -> int:
        """Hand on the message that begins `at`; returns where the next line begins, -1 when it is not all there."""
        words = data[at:line_end].split()
        is_with_headers = data[at] == _HMSG
        try:
            total = int(words[-1])
            header_size = int(words[-2]) if is_with_headers else 0
            handler = self._client.handlers.get(int(words[2]))
        except (ValueError, IndexError):
            raise ProtocolError from None
        if not 0 <= header_size <= total:
            raise ProtocolError
        begin = line_end + 2
        body, end = begin + header_size, begin + total
        if len(data) < end + 2:
            return -1
        if handler is not None:
            reply = words[3] if len(words) == 5 + is_with_headers else b""
            message = Msg(_text(words[1]), _text(reply), data[body:end], data[begin:body])
            _safely(handler, message)
        return end + 2


def _safely[*A](work: Callable[[*A], object], *what: *A) -> None:
    try:
        work(*what)
    except Exception:  # noqa: BLE001  one message must not cost the connection
        _log.exception("bus.handler_failed", subject=getattr(what[0], "subject", "") if what else "")


def _text(subject: bytes) -> str:
    return subject.decode(errors="replace")


_HMSG = ord("H")
_MESSAGES = frozenset(b"HM")
"""First letters of HMSG and MSG; no other line begins with them."""
