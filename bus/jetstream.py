"""The few JetStream API calls this product makes, by their documented subjects.

nats-py's helpers create consumers and streams as they go, which nobody in service may do here, and its
`fetch` stalls; so pulls, acks and direct reads are written out.

Source: JetStream wire API, ADR-8 (key-value), ADR-13 (pull), ADR-31 (direct get).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

import msgspec

from bus.connection import Connection, Headers, Msg
from bus.errors import NotProvisioned, StorageFull
from schemas.errors import AgentbusError, DeadlineExceeded, Unavailable, UnknownOutcome
from schemas.names import EXPECTED_SUBJECT_SEQUENCE

WRONG_LAST_SEQUENCE = 10071
NOT_FOUND = frozenset({10059, 10014})
"""Stream, consumer not found."""
_TOO_MANY = 10167
"""More is on its way to the stream than it can take now; this was not stored. Source: nats-server `JSStreamTooManyRequests`."""
NO_LEADER_YET = frozenset({10008, 10005, 10023})
"""System temporarily unavailable, no suitable peers, insufficient resources: a cluster that is just forming."""
_STILL_BEING_STORED = 10158
"""A cluster has the same message id on its way already: that of a try whose answer was lost."""
FULL = 10077
"""The stream may not grow any more."""
FULL_FOR_SUBJECT = "maximum messages per subject"
"""How the description begins when that is the reason. Source: nats-server `ErrMaxMsgsPerSubject`."""
_NO_ROOM = frozenset({FULL, 10002})
"""The same, or the account may hold no more."""


class ApiError(AgentbusError):
    """JetStream refused a call; `code` is its `err_code`."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"JetStream refused: {description} ({code})")
        self.code = code


class Overtaken(ApiError):
    """The subject has another last message than the one that the publisher expected.

    `last` is its sequence, from the leader, which alone knows; a read may be answered by a copy that is behind. -1 where
    the server did not say.
    """

    def __init__(self, code: int, description: str) -> None:
        super().__init__(code, description)
        told = description.rpartition(": ")[2]
        self.last = int(told) if told.isdecimal() else -1


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class PubAck(msgspec.Struct, frozen=True):
    """What the server says of a stored message."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


class Delivery(NamedTuple):
    """Where a pulled message stands; `at_ns` is when the server stored it, `pending` how many follow."""

    delivered: int
    stream_sequence: int
    consumer_sequence: int
    at_ns: int
    pending: int


async def call(
    connection: Connection, verb: str, body: dict[str, Any] | None = None, *, timeout_s: float = 5
) -> dict[str, Any]:
    """One JetStream API request, `$JS.API.<verb>`.

    Raises:
        ApiError: the server refused. Unavailable, DeadlineExceeded: as `Connection.request`.
    """
    payload = msgspec.json.encode(body) if body is not None else b""
    answer = await connection.request(f"$JS.API.{verb}", payload, timeout_s=timeout_s)
    decoded: dict[str, Any] = msgspec.json.decode(answer.data)
    error = decoded.get("error")
    if error:
        raise ApiError(int(error.get("err_code", 0)), str(error.get("description", "")))
    return decoded


async def found_or_none(connection: Connection, verb: str) -> dict[str, Any] | None:
    """`call` about a stream or consumer that may not exist; None where it does not."""
    try:
        return await call(connection, verb)
    except ApiError as error:
        if error.code in NOT_FOUND:
            return None
        raise


async def store(
    connection: Connection, subject: str, payload: bytes, *, headers: Headers | None = None, timeout_s: float = 5
) -> int:
    """Publish into a stream and wait until it is stored; returns the sequence.

    Raises:
        Overtaken: somebody else was faster. ApiError: refused. UnknownOutcome: no answer; it may be stored.
            Unavailable: it was not sent, or the stream has no leader, or no room in its queue, at the moment.
    """
    try:
        answer = await connection.request(subject, payload, headers=headers, timeout_s=timeout_s)
    except DeadlineExceeded as error:
        raise UnknownOutcome(f"no acknowledgement from the stream behind {subject}: {error}") from None
    ack = msgspec.json.decode(answer.data, type=PubAck)
    if ack.error and ack.error.err_code == _STILL_BEING_STORED:
        raise UnknownOutcome(f"an earlier try is still being stored behind {subject}; repeat it")
    if ack.error and ack.error.err_code in NO_LEADER_YET:
        raise Unavailable(f"the stream behind {subject} has no leader at the moment", retry_after_s="1")
    if ack.error and ack.error.err_code == _TOO_MANY:
        raise Unavailable(f"the stream behind {subject} takes no more at the moment", retry_after_s="1")
    if ack.error and ack.error.err_code == WRONG_LAST_SEQUENCE:
        raise Overtaken(ack.error.err_code, ack.error.description)
    if ack.error:
        raise ApiError(ack.error.err_code, ack.error.description)
    return ack.seq


def delivery_of(message: Msg) -> Delivery:
    """Read the acknowledgement subject of a pulled message: `$JS.ACK.<stream>.<consumer>.<…>`."""
    tokens = message.reply.split(".")
    counts = tokens[-5:] if len(tokens) == 9 else tokens[-6:-1]
    return Delivery(*(int(count) for count in counts))


_Arrived = asyncio.Queue[Msg | None]
"""None: the connection was lost."""


class Puller:
    """Pulls from one durable consumer; each pull has an inbox of its own, so a late answer hits nobody."""

    def __init__(self, connection: Connection, stream: str, consumer: str) -> None:
        self._connection = connection
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._reset = f"CONSUMER.RESET.{stream}.{consumer}"
        self.name = f"{stream}.{consumer}"

    async def restart(self) -> int:
        """Deliver from the stream's first message again; returns how many there are now."""
        answer = await call(self._connection, self._reset, {"seq": 1})
        return int(answer.get("num_pending", 0))

    async def pull(self, batch: int, *, wait_s: float) -> list[Msg]:
        """Up to `batch` messages; returns at the first quiet moment, after `wait_s` with an empty list.

        Raises:
            NotProvisioned: the consumer does not exist.
            Unavailable: the server is away, or goes away before a message came: it forgets who waits.
        """
        inbox = f"{self._connection.profile.inbox_prefix}.{self._connection.unique()}"
        arrived: _Arrived = asyncio.Queue()
        subscription = await self._connection.subscribe(inbox, arrived.put_nowait)

        def lost() -> None:
            arrived.put_nowait(None)

        self._connection.losses.add(lost)
        try:
            return await self._collect(inbox, arrived, batch, wait_s)
        finally:
            self._connection.losses.discard(lost)
            await self._connection.forget(subscription)

    async def _collect(self, inbox: str, arrived: _Arrived, batch: int, wait_s: float) -> list[Msg]:
        # Two pulls in one: what is there now without waiting, and only when that is nothing, one that waits.
        await self._ask(inbox, {"batch": batch, "no_wait": True})
        messages = await _until_status(arrived, batch, time.monotonic() + 5)
        if messages or wait_s <= 0:
            return messages
        await self._ask(inbox, {"batch": 1, "expires": int(wait_s * 1e9)})
        return await _until_status(arrived, 1, time.monotonic() + wait_s + 1)

    async def _ask(self, inbox: str, body: dict[str, Any]) -> None:
        await self._connection.publish(self._next, msgspec.json.encode(body), reply=inbox)


async def _until_status(arrived: _Arrived, batch: int, deadline: float) -> list[Msg]:
    messages: list[Msg] = []
    while len(messages) < batch:
        try:
            message = await asyncio.wait_for(arrived.get(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return messages  # the pull or its answer got lost; the caller pulls again
        if message is None:
            if messages:
                return messages
            raise Unavailable("the server went away")
        status = (message.headers).get("Status") if not message.data else None
        if status is None or message.reply.startswith("$JS.ACK."):
            messages.append(message)
        elif status == "503":
            raise Unavailable("JetStream does not answer")
        elif status == "409" and "deleted" in str(message.headers).lower():
            raise NotProvisioned("the consumer was deleted; run: agentbus provision")
        else:
            return messages
    return messages


class Entry(NamedTuple):
    """A value in a bucket; `revision` is what a compare-and-set expects; `headers` came with the value."""

    value: bytes
    revision: int
    headers: dict[str, str]


class Bucket:
    """A key-value bucket that provisioning made. Source: ADR-8."""

    def __init__(self, connection: Connection, name: str, *, quota: str = "storage_mb") -> None:
        self._connection = connection
        self._name = name
        self._quota = quota
        """What in the fleet file gives it more room."""

    async def require(self) -> None:
        """Check that the bucket exists and keeps one value a key.

        Raises:
            NotProvisioned: it does not; the message says what to run.
        """
        try:
            info = await call(self._connection, f"STREAM.INFO.KV_{self._name}")
        except ApiError:
            raise NotProvisioned(f"bucket {self._name} does not exist; run: agentbus provision") from None
        config = info["config"]
        if config.get("max_msgs_per_subject") != 1 or not config.get("allow_direct") or not config.get("allow_msg_ttl"):
            raise NotProvisioned(
                f"bucket {self._name} differs from what this version provisions; run: agentbus provision"
            )

    async def get(self, key: str) -> Entry | None:
        """The value of `key`, or None."""
        answer = await self._connection.request(
            f"$JS.API.DIRECT.GET.KV_{self._name}.$KV.{self._name}.{key}", timeout_s=5
        )
        headers = answer.headers
        if headers.get("Status") == "404":
            return None
        if "Nats-Sequence" not in headers:
            raise NotProvisioned(f"bucket {self._name} cannot be read; run: agentbus provision")
        return Entry(answer.data, int(headers["Nats-Sequence"]), headers)

    async def put(self, key: str, value: bytes, *, revision: int, headers: dict[str, str] | None = None) -> int:
        """Set `key` if it still has `revision` (0: does not exist yet); returns the new revision.

        Raises:
            Overtaken: somebody else was faster.
            StorageFull: there is no room for it.
            UnknownOutcome: no acknowledgement.
        """
        expecting = {EXPECTED_SUBJECT_SEQUENCE: str(revision)} | (headers or {})
        try:
            return await store(self._connection, f"$KV.{self._name}.{key}", value, headers=expecting)
        except ApiError as error:
            if error.code not in _NO_ROOM:
                raise
            raise StorageFull(
                f"the agent's storage of {self._name} is full; an operator can raise {self._quota} of the agent in the "
                "fleet file and start the fleet anew, or wait until older ones expire",
                retry_after_s="5",
            ) from None
