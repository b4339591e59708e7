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

from bus.audit.head import Head
from bus.audit.producer import Producer
from bus.audit.spool import Entry
from bus.connection import Connection
from bus.credentials import Credential
from bus.headers import Block, extended
from schemas import names
from schemas.audit import (
    CLOUDEVENTS_MEDIA_TYPE,
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


class NotStored(AgentbusError):
    """The server refused the batch, or its answer cannot be read: read back before sending anything again."""


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

    async def append(self, batch: Sequence[Entry], fence: int) -> int:
        """Store all of `batch` or nothing, signed as one; return the stream sequence of the last event.

        Raises:
            NotStored: the server refused it; a fence that is no longer right is the usual reason.
            Unavailable, DeadlineExceeded: no word from the server; it may have been stored.
        """
        identifier = secrets.token_hex(12)
        first = {names.EXPECTED_SUBJECT_SEQUENCE: str(fence), names.EXPECTED_SUBJECT_FILTER: self.producer.fence}
        last = self._commit(batch[-1], len(batch), fence)
        if len(batch) == 1:
            return _sequence(await self._ask(batch[0], _headers(identifier, 1, batch[0], first | last)), 1)
        _accepted(await self._ask(batch[0], _headers(identifier, 1, batch[0], first)))
        await self._connection.publish_all(
            (entry.subject, entry.data, _headers(identifier, number, entry))
            for number, entry in enumerate(batch[1:-1], 2)
        )
        return _sequence(await self._ask(batch[-1], _headers(identifier, len(batch), batch[-1], last)), len(batch))

    def _commit(self, entry: Entry, count: int, after: int) -> dict[str, str]:
        payload = batch_payload(entry.subject, entry.digest, count, after)
        signature = self._key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
        return {
            names.BATCH_COMMIT: "1",
            names.SIGNATURE: base64.b64encode(signature).decode(),
            names.SIGNATURE_KEY: self._public,
            names.SIGNATURE_AFTER: str(after),
        }

    async def _ask(self, entry: Entry, headers: Block) -> bytes:
        request = self._connection.request(entry.subject, entry.data, headers=headers, timeout_s=_REQUEST_TIMEOUT_S)
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
        return Head(
            slot=self.producer.slot_prefix,
            counter=_counter(answer.data),
            sha256=digest(answer.data),
            stream_sequence=int(headers["Nats-Sequence"]),
        )


def _headers(batch: str, number: int, entry: Entry, more: dict[str, str] | None = None) -> Block:
    always = f"{_ALWAYS}{entry.digest}\r\n{names.BATCH_ID}: {batch}\r\n{names.BATCH_SEQUENCE}: {number}\r\n\r\n"
    return Block(always.encode()) if more is None else extended(Block(always.encode()), more)


_ALWAYS = f"NATS/1.0\r\n{names.CONTENT_TYPE}: {CLOUDEVENTS_MEDIA_TYPE}\r\n{names.MSG_ID}: "


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
        raise NotStored(f"{error.get('description')} (error {error.get('err_code')})")
    return answer


def _accepted(data: bytes) -> None:
    if data:
        _answer(data)


def _sequence(data: bytes, count: int) -> int:
    answer = _answer(data)
    if answer.get("count", 1) != count or not isinstance(answer.get("seq"), int):
        raise NotStored(f"the server confirmed {answer.get('count')} of {count} events")
    return int(answer["seq"])
