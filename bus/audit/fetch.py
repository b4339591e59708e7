"""Messages of one stream with nothing but direct get: no consumer, so reading leaves no trace and no state.

One request asks for a batch; the server sends the messages to a subscription, each naming the one it
sent before (`Nats-Last-Sequence`), and ends with status 204 `EOB`, or answers 404 when there is nothing
from there on. A message that the client dropped is noticed by that chain and asked for again, so what
is missing in what is fetched is missing on the stream.

Source: ADR-31 (direct get, batches), measured on nats-server 2.15.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any, Final, NamedTuple

import msgspec

from bus.connection import Connection, Msg
from bus.errors import NotProvisioned
from bus.headers import MALFORMED
from schemas.errors import DeadlineExceeded, Unavailable
from schemas.names import JETSTREAM_DELIVERY_HEADERS

_LAST: Final = "Nats-Last-Sequence"
_STREAM: Final = b"\r\nNats-Stream: "
_ADDED = frozenset({"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", _LAST})
_LOOK_AGAIN_S = 0.2
_STREAM_NOT_FOUND = 10059


class Record(NamedTuple):
    """One message of the stream, or one event in it. `time` is the server's (RFC 3339, nanoseconds); `headers` the producer's.

    `problem` is set when the producer sent headers that only the server may: then `sequence` is the
    place where the message was found, and `subject` may be false.
    """

    sequence: int
    time: str
    subject: str
    headers: dict[str, str]
    payload: bytes
    problem: str = ""
    place: int = 0
    """Of an event among those of its message, from 0."""
    block: bytes = b""
    """The message's headers as the server sent them, its own lines included: see `tlog.leaf`."""


async def stream_info(connection: Connection, stream: str, timeout_s: float) -> dict[str, Any]:
    """What the server says of a stream.

    Raises:
        NotProvisioned: there is no such stream. Unavailable, DeadlineExceeded: the server does not say.
    """
    answer = await connection.request(f"$JS.API.STREAM.INFO.{stream}", timeout_s=timeout_s)
    info: dict[str, Any] = msgspec.json.decode(answer.data)
    if error := info.get("error"):
        missing = error.get("err_code") == _STREAM_NOT_FOUND
        kind = NotProvisioned if missing else Unavailable
        raise kind(f"stream {stream}: {error.get('description')}; has this fleet been provisioned?")
    return info


class Batches:
    """One subscription that batches of records arrive on; every request gets a reply subject of its own."""

    def __init__(self, connection: Connection, batch: int, timeout_s: float, subject: str) -> None:
        self._connection = connection
        self._request: dict[str, Any] = {"batch": batch} | ({"next_by_subj": subject} if subject else {})
        self._timeout_s = timeout_s
        self._inbox = f"{connection.profile.inbox_prefix}.{secrets.token_hex(8)}"
        self._number = 0
        self._reply = ""
        self._arrived: list[Msg] = []
        self._is_ended = asyncio.Event()

    async def __aenter__(self) -> None:
        self._subscription = await self._connection.subscribe(f"{self._inbox}.*", self._take)

    async def __aexit__(self, *_: object) -> None:
        if self._connection.is_connected:
            await self._connection.forget(self._subscription)

    async def _fetch(self, stream: str, position: int) -> tuple[list[Record], bool]:
        self._number += 1
        self._reply = f"{self._inbox}.{self._number}"
        self._arrived = []
        self._is_ended.clear()
        body = msgspec.json.encode({"seq": position, **self._request})
        await self._connection.publish(f"$JS.API.DIRECT.GET.{stream}", body, reply=self._reply)
        await self._wait()
        _refuse_copy(self._arrived[0].block, stream)  # one stream answers a whole batch
        return _whole(self._arrived, position)

    async def fetch(self, stream: str, position: int) -> tuple[list[Record], bool]:
        """The next batch of `stream` from `position`, and whether the stream ends with it.

        Waits while a cluster has no server that answers for the stream.

        Raises:
            Unavailable, DeadlineExceeded: the server went away, or a mirror answers in the stream's place.
        """
        give_up_at = time.monotonic() + self._timeout_s
        while True:
            try:
                return await self._fetch(stream, position)
            except _NobodyHasIt:
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _take(self, message: Msg) -> None:
        if message.subject == self._reply:  # else it is the rest of a batch that was given up
            self._arrived.append(message)
            if "Nats-Stream" not in (message.headers):  # stored messages have it: no producer can fake an end
                self._is_ended.set()

    async def _wait(self) -> None:
        """Return when the batch has ended; a batch that keeps arriving may take its time."""
        while not self._is_ended.is_set():
            before = len(self._arrived)
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._is_ended.wait()
            except TimeoutError:
                if len(self._arrived) == before:
                    raise DeadlineExceeded(f"the stream was not read within {self._timeout_s:g} s") from None


def _whole(messages: list[Msg], position: int) -> tuple[list[Record], bool]:
    """The records up to the first that the client dropped, and whether there is nothing after them."""
    found: list[Record] = []
    for message in messages[:-1]:
        headers = message.headers
        if not _is_next(headers, found):
            return found, False
        found.append(record_of(message, found[-1].sequence + 1 if found else position))
    end = messages[-1].headers
    _refuse_unknown(end.get("Status", ""), end)
    is_last = end.get("Status") == "404" or end.get("Nats-Num-Pending") == "0"
    return found, is_last and _is_next(end, found)


def _refuse_copy(block: bytes, stream: str) -> None:
    """Refuse the answer of a mirror: the server lets it answer for its origin, and it holds other headers than the origin does.

    The server's own line is the last; what a producer wrote before it does not count.
    """
    _, line, rest = block.rpartition(_STREAM)
    answering = rest.partition(b"\r\n")[0].decode(errors="replace")
    if line and answering != stream:
        raise Unavailable(
            f"stream {answering} answers for {stream}: it is a mirror, whose headers are not those that were stored; "
            "keep mirrors in an account of their own"
        )


class _NobodyHasIt(Unavailable):
    """No server answers for the stream now: a cluster is between two leaders, or a copy is catching up."""


def _refuse_unknown(status: str, headers: dict[str, str]) -> None:
    if status == "503":
        raise _NobodyHasIt("no server answers for the stream; it is tried again")
    if status not in {"204", "404"}:
        raise Unavailable(f"the stream cannot be read: {status} {headers.get('Description', '')}")


def _is_next(headers: dict[str, str], found: list[Record]) -> bool:
    """Whether the message before this one arrived too. A message with doubtful headers is taken as it comes."""
    if not found or MALFORMED in headers or _LAST not in headers:
        return True
    return bool(found[-1].problem) or int(headers[_LAST]) == found[-1].sequence


def record_of(message: Msg, expected: int) -> Record:
    """From what a direct get answered; `expected` is where it stands when its own words cannot be believed."""
    headers = message.headers
    own = {name: value for name, value in headers.items() if name not in _ADDED}
    forged = sorted(name for name in own if name.lower() in JETSTREAM_DELIVERY_HEADERS)
    problem = headers.get(MALFORMED, "") or (f"header {forged[0]} was sent by the producer" if forged else "")
    sequence = headers.get("Nats-Sequence", "")
    return Record(
        sequence=int(sequence) if sequence.isdecimal() and MALFORMED not in headers else expected,
        time=headers.get("Nats-Time-Stamp", ""),
        subject=headers.get("Nats-Subject", ""),
        headers=own,
        payload=message.data,
        problem=problem,
        block=message.block,
    )
