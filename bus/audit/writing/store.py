"""The stream as one producer may use it: read its own last events, append one atomic batch.

Source: ADR-50 (atomic batch publish), ADR-31 (direct get); measured on nats-server 2.15.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.packing import Message, packed, unpacked
from bus.audit.producer import Producer
from bus.audit.writing.head import Head
from bus.audit.writing.spool import Entry
from bus.connection import Connection
from bus.credentials import Credential
from bus.headers import Block, encode
from schemas import names
from schemas.audit import (
    DOMAINS,
    PAYLOAD_TYPE,
    batch_payload,
    decode_event,
    digest,
    pre_authentication_encoding,
)
from schemas.errors import AgentbusError, Unavailable

_REQUEST_TIMEOUT_S = 3.0
_LOOK_UP_S = 0.1
_BEHIND_S = 3.0
_BATCH_HAS_DUPLICATE = 10201


class NotStored(AgentbusError):
    """The server refused the batch, or its answer cannot be read: read back before sending anything again."""


class IdTaken(NotStored):
    """The stream has a message under an id of the batch: an earlier try of it whose answer was lost, or somebody else's.

    Ids count for the whole stream, so a process that knows an event before it is stored (it reads the spool, or has
    the key) can keep it out, from a slot of its own. Read back which of the two it is, and compare.
    """


class SlotStore:
    """One slot of the audit stream, through the imports of the producer's own account."""

    def __init__(self, connection: Connection, producer: Producer, credential: Credential) -> None:
        self.producer = producer
        self._connection = connection
        self._key: Ed25519PrivateKey = credential.signing_key()
        self._public = credential.public_key()

    async def lasts(self, at_least: int = 0) -> list[Head]:
        """The last event of every domain that has one; the last of all carries the slot's last sequence.

        In a cluster any copy may answer, also one that is behind. So an answer from before stream sequence
        `at_least`, which was there already, is believed only when it stays the answer for some seconds.
        An event that cannot be read counts with counter 0: it holds its place on the stream, nothing else.

        Raises:
            Unavailable, DeadlineExceeded: the server does not say; nothing is known.
        """
        believe_at = time.monotonic() + _BEHIND_S
        while True:
            found = [head for head in await asyncio.gather(*map(self._last, DOMAINS)) if head is not None]
            if any(head.stream_sequence >= at_least for head in found) or not at_least:
                return found
            if time.monotonic() > believe_at:
                return found
            await asyncio.sleep(_LOOK_UP_S)

    async def append(self, batch: Sequence[Entry], fence: int, salt: str = "") -> int:
        """Store all of `batch` or nothing, signed as one; return the stream sequence of the last event.

        `salt` makes the messages' ids others than their digests alone.

        Raises:
            IdTaken: the stream has had a message with one of the ids.
            NotStored: the server refused it; a fence that is no longer right is the usual reason.
            Unavailable, DeadlineExceeded: no word from the server; it may have been stored.
        """
        messages, identifier = packed(batch), secrets.token_hex(12)
        if salt:
            messages = [message._replace(digest=f"{message.digest}.{salt}") for message in messages]
        count, first, last = len(messages), messages[0], messages[-1]
        parts = [message.events for message in messages]
        begin = {names.EXPECTED_SUBJECT_SEQUENCE: str(fence), names.EXPECTED_SUBJECT_FILTER: self.producer.fence}
        end = self._signature(last.subject, batch[-1].digest, parts, fence)
        if count == 1:  # whole by itself: as an atomic batch it would take the server six times as long (measured)
            return _sequence(await self._ask(first, _headers(first, begin | end)), 1)
        _accepted(await self._ask(first, _headers(first, begin | _place(identifier, 1))))
        await self._connection.publish_all(
            (message.subject, message.payload, _headers(message, _place(identifier, number)))
            for number, message in enumerate(messages[1:-1], 2)
        )
        end |= _place(identifier, count) | {names.BATCH_COMMIT: "1"}
        return _sequence(await self._ask(last, _headers(last, end)), count)

    def _signature(self, subject: str, last_digest: str, parts: list[int], after: int) -> dict[str, str]:
        payload = batch_payload(subject, last_digest, parts, after)
        signature = self._key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
        headers = {
            names.SIGNATURE: base64.b64encode(signature).decode(),
            names.SIGNATURE_KEY: self._public,
            names.SIGNATURE_AFTER: str(after),
        }
        if len(parts) != sum(parts):
            headers[names.SIGNATURE_PARTS] = ",".join(map(str, parts))
        return headers

    async def _ask(self, message: Message, headers: Block) -> bytes:
        request = self._connection.request(
            message.subject, message.payload, headers=headers, timeout_s=_REQUEST_TIMEOUT_S
        )
        asking, before = asyncio.ensure_future(request), self._connection.reconnects
        try:
            while not asking.done():
                await asyncio.wait((asking,), timeout=_LOOK_UP_S)
                is_same = self._connection.is_connected and self._connection.reconnects == before
                if not asking.done() and not is_same:
                    raise Unavailable("the connection was lost before the server answered")
            return bytes((await asking).data)
        finally:
            asking.cancel()

    async def _last(self, domain: str) -> Head | None:
        answer = await self._connection.request(self.producer.last_subject(domain), timeout_s=_REQUEST_TIMEOUT_S)
        headers = answer.headers
        if headers.get("Status") == "404":
            return None
        if "Nats-Sequence" not in headers:
            raise Unavailable(f"the last event of {domain} cannot be read: {headers.get('Description', 'no sequence')}")
        event = unpacked(answer.data)[-1]
        return Head(
            slot=self.producer.slot_prefix,
            counter=_counter(event),
            sha256=digest(event),
            stream_sequence=int(headers["Nats-Sequence"]),
        )


def _place(batch: str, number: int) -> dict[str, str]:
    return {names.BATCH_ID: batch, names.BATCH_SEQUENCE: str(number)}


def _headers(message: Message, more: dict[str, str]) -> Block:
    return encode({names.CONTENT_TYPE: message.media_type, names.MSG_ID: message.digest} | more)


def _counter(data: bytes) -> int:
    try:
        return decode_event(data).sequence
    except msgspec.DecodeError:
        return 0


def _answer(data: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        raise NotStored("the server's answer to a batch is not JSON") from None
    if error := answer.get("error"):
        kind = IdTaken if error.get("err_code") == _BATCH_HAS_DUPLICATE else NotStored
        raise kind(f"{error.get('description')} (error {error.get('err_code')})")
    return answer


def _accepted(data: bytes) -> None:
    if data:
        _answer(data)


def _sequence(data: bytes, count: int) -> int:
    answer = _answer(data)
    if answer.get("duplicate"):
        raise IdTaken("the server has had a message with this id before")
    if answer.get("count", 1) != count or not isinstance(answer.get("seq"), int):
        raise NotStored(f"the server confirmed {answer.get('count')} of {count} events")
    return int(answer["seq"])
