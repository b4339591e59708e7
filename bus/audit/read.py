"""Reading the audit stream with nothing but direct get: no consumer, so reading leaves no trace and no state.

One request asks for a batch; the server sends the messages to a subscription, each naming the one it
sent before (`Nats-Last-Sequence`), and ends with status 204 `EOB`, or answers 404 when there is nothing
from there on. A message that the client dropped is noticed by that chain and asked for again, so what
is missing in what a reader yields is missing on the stream.

Source: ADR-31 (direct get, batches), measured on nats-server 2.15.
"""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import msgspec

from bus.audit.packing import unpacked
from bus.connection import Connection, Msg
from bus.errors import NotProvisioned
from bus.headers import MALFORMED
from schemas import names
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


class Bounds(NamedTuple):
    """What the stream says it holds: `first` is `last` + 1 when it is empty. `created` is when the stream was (RFC 3339)."""

    first: int
    last: int
    created: str = ""


class Reader:
    """Reads a stream, by default AUDIT over an auditor's connection. One iteration at a time per reader."""

    def __init__(
        self, connection: Connection, *, stream: str = names.AUDIT, batch: int = 1000, timeout_s: float = 5
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._batch = batch
        self._timeout_s = timeout_s

    async def bounds(self) -> Bounds:
        """First and last sequence.

        Raises:
            NotProvisioned: there is no such stream.
            Unavailable, DeadlineExceeded: the server does not say.
        """
        answer = await self._connection.request(f"$JS.API.STREAM.INFO.{self._stream}", timeout_s=self._timeout_s)
        info: dict[str, Any] = msgspec.json.decode(answer.data)
        if error := info.get("error"):
            missing = error.get("err_code") == _STREAM_NOT_FOUND
            kind = NotProvisioned if missing else Unavailable
            raise kind(f"stream {self._stream}: {error.get('description')}; has this fleet been provisioned?")
        return Bounds(info["state"]["first_seq"], info["state"]["last_seq"], info["created"])

    async def first_since(self, moment: datetime.datetime) -> int:
        """The sequence of the first record that the server stored at `moment` or later; the next to come if there is none.

        One question to the server, however long the stream is.

        Raises:
            Unavailable, DeadlineExceeded: the server does not say.
        """
        end = (await self.bounds()).last + 1
        body = msgspec.json.encode({"start_time": moment.astimezone(datetime.UTC).isoformat()})
        subject = f"$JS.API.DIRECT.GET.{self._stream}"
        answer = await self._connection.request(subject, body, timeout_s=self._timeout_s)
        status = answer.headers.get("Status", "")
        if status and status != "404":
            raise Unavailable(f"the stream cannot be read: {status} {answer.headers.get('Description', '')}")
        sequence = answer.headers.get("Nats-Sequence", "")
        return int(sequence) if sequence.isdecimal() else end

    async def records(
        self,
        start: int = 1,
        *,
        until: int | None = None,
        subject: str = "",
        follow: bool = False,
        poll_s: float = 0.5,
    ) -> AsyncIterator[Record]:
        """Every record from sequence `start`, in order, up to `until` or the end; with `follow`, without end.

        `subject` is a NATS subject pattern. When following, an outage is waited out.

        Raises:
            Unavailable, DeadlineExceeded: not `follow`, and the server went away, or a mirror answers in the stream's
                place; what was yielded is good.
        """
        wanted = _Wanted(self._connection, self._stream, {"batch": self._batch}, self._timeout_s, subject)
        position = start
        async with wanted:
            while until is None or position <= until:
                try:
                    batch, is_end = await wanted.fetch_patiently(position)
                except (Unavailable, DeadlineExceeded):
                    if not follow:
                        raise
                    batch, is_end = [], True
                for record in batch:
                    if until is not None and record.sequence > until:
                        return
                    yield record
                    position = record.sequence + 1
                if is_end and not follow:
                    return
                if is_end:
                    await asyncio.sleep(poll_s)


def events_of(record: Record) -> list[Record]:
    """A record for each event in this one: usually there is one."""
    return [record._replace(payload=event, place=place) for place, event in enumerate(unpacked(record.payload))]


class _Wanted:
    """One subscription that batches of records arrive on; every request gets a reply subject of its own."""

    def __init__(
        self, connection: Connection, stream: str, request: dict[str, Any], timeout_s: float, subject: str
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._get = f"$JS.API.DIRECT.GET.{stream}"
        self._request = request | ({"next_by_subj": subject} if subject else {})
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

    async def fetch(self, position: int) -> tuple[list[Record], bool]:
        """The next batch from `position`, and whether the stream ends with it."""
        self._number += 1
        self._reply = f"{self._inbox}.{self._number}"
        self._arrived = []
        self._is_ended.clear()
        body = msgspec.json.encode({"seq": position, **self._request})
        await self._connection.publish(self._get, body, reply=self._reply)
        await self._wait()
        _refuse_copy(self._arrived[0].block, self._stream)  # one stream answers a whole batch
        return _whole(self._arrived, position)

    async def fetch_patiently(self, position: int) -> tuple[list[Record], bool]:
        """As `fetch`; waits while a cluster has no server that answers for the stream."""
        give_up_at = time.monotonic() + self._timeout_s
        while True:
            try:
                return await self.fetch(position)
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
