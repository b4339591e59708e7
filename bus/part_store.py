"""Where the content of large parts is kept: pieces in the writer's bucket, each for one named reader.

Guarantees: what `get` returns has the size and the digest of the reference; nobody else can have written it into
that bucket, and only the reader it names can get it. Not guaranteed: that it is there for longer than `put` was
told; what was stored of a part that did not fit stays until then too.

Source: ADR-20 (object store), ADR-31 (direct get), ADR-43 (time to live); `bus.provision.parts` for the walls.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from bus.connection import Connection, Msg
from bus.credentials import Credential
from bus.jetstream import FULL, ApiError, store
from bus.outage import AWAY, through_outage
from schemas import names, parts, subjects
from schemas.errors import PayloadTooLarge, Unavailable
from schemas.ids import rfc3339
from schemas.parts import Reference, Stored
from schemas.subjects import PartGet, PartPut

Connect = Callable[[], Awaitable[Connection]]
"""The connection to one's own account; asked for at each use, so that whoever sends nothing large needs none."""

_LAG_S = 1.0
"""In a cluster a copy may answer that has not heard of the newest pieces yet."""
_RETRY_S = 0.1
_TIMEOUT_S = 5.0


def always(connection: Connection) -> Connect:
    """For a process whose connection to its own account is open anyway."""

    async def connect() -> Connection:
        return connection

    return connect


class OwnAccount:
    """A `Connect` for who has the connection `bus`, opened when it is first asked for; the key lies beside that one's.

    Raises:
        CredentialMissing, ConnectionRefused: when asked, it cannot be opened.
    """

    def __init__(self, bus: Connection) -> None:
        self._bus = bus
        self._opened: Connection | None = None
        self._opening = asyncio.Lock()

    async def __call__(self) -> Connection:
        async with self._opening:
            if self._opened is None:
                profile = self._bus.profile
                key = Credential.find(profile.credential.path.parent, names.OWN_CREDENTIAL)
                self._opened = await Connection.open(replace(profile, credential=key))
            return self._opened

    async def close(self) -> None:
        """Close it if it was opened."""
        if self._opened is not None:
            await self._opened.close()


class PartStore:
    """Puts parts into the bucket of `owner`, and gets those that others wrote for it."""

    def __init__(self, owner: str, connect: Connect) -> None:
        self.owner = owner
        self._connect = connect

    async def put(self, reader: str, kind: parts.Kind, content: bytes, *, keep_s: int) -> Reference:
        """Store `content` for `reader` for so many seconds, through an outage of half a minute.

        Raises:
            PayloadTooLarge: it is over the limit of one part.
            Unavailable: there is no room, or the server stayed away.
        """
        if len(content) > (limit := parts.limit_of(kind)):
            raise PayloadTooLarge(
                f"a {kind} part of {len(content)} bytes is over the limit of {limit}; send it in pieces"
            )
        part, digest, number = os.urandom(16).hex(), hashlib.sha256(), 0
        for begin in range(0, len(content), names.PART_CHUNK_BYTES):
            piece, number = content[begin : begin + names.PART_CHUNK_BYTES], number + 1
            digest.update(piece)
            await self._store(str(PartPut(reader, part, str(number))), piece, keep_s)
        reference = Reference(self.owner, reader, part, Stored(kind, len(content), digest.hexdigest(), number))
        await self._store(subjects.part_name(part), _object_info(reference, digest.digest()), keep_s)
        return reference

    async def get(self, reference: Reference, where: str) -> bytes:
        """The content that `reference` stands for; `where` is its place, for the error.

        Raises:
            PartNotFound: it has expired, or was never stored as a whole.
            InvalidArgument: it is not what the reference says.
            Unavailable: the server stayed away.
        """
        content, digest = bytearray(), hashlib.sha256()
        for number in range(1, reference.stored.chunks + 1):
            piece = await self._piece(reference, number)
            if piece is None:
                raise parts.gone(reference, where)
            digest.update(piece)
            content += piece
            if len(content) > reference.stored.size:
                break
        if len(content) != reference.stored.size or digest.hexdigest() != reference.stored.sha256:
            raise parts.differs(where)
        return bytes(content)

    async def _store(self, subject: str, body: bytes, keep_s: int) -> None:
        # The message id makes a repetition harmless: the bucket is its writer's alone.
        headers = {names.TTL: str(keep_s), names.MSG_ID: subject}

        async def attempt(_: bool) -> None:  # noqa: FBT001  what `through_outage` calls
            await store(await self._connect(), subject, body, headers=headers)

        try:
            await through_outage(attempt)
        except ApiError as error:
            if error.code != FULL:
                raise
            raise Unavailable(
                f"there is no room for large parts of {self.owner} until older ones expire; an operator can give "
                "an agent more with parts_mb in fleet.yaml"
            ) from None
        except AWAY as error:
            raise Unavailable(f"large parts cannot be stored now: {error}") from None

    async def _piece(self, reference: Reference, number: int) -> bytes | None:
        bucket = names.parts_stream(reference.writer)
        subject = str(PartGet(bucket, reference.writer, reference.part, str(number)))

        async def attempt(_: bool) -> Msg:  # noqa: FBT001  what `through_outage` calls
            answer = await (await self._connect()).request(subject, timeout_s=_TIMEOUT_S)
            _require_known(answer)
            return answer

        late = time.monotonic() + _LAG_S
        while True:
            try:
                answer = await through_outage(attempt)
            except AWAY as error:
                raise Unavailable(f"large parts cannot be read now: {error}") from None
            if _is_piece(answer):
                return answer.data
            if time.monotonic() > late:
                return None
            await asyncio.sleep(_RETRY_S)


def _is_piece(answer: Msg) -> bool:
    """Whether it is a stored message; else it is the server's notice that there is none."""
    return "Nats-Sequence" in answer.headers


def _require_known(answer: Msg) -> None:
    """Only a piece, or that there is none, is an answer.

    Raises:
        Unavailable: it is another notice of the server.
    """
    if not _is_piece(answer) and answer.headers.get("Status") != "404":
        raise Unavailable(f"the server says {answer.headers.get('Description', 'nothing')}")


def _object_info(reference: Reference, digest: bytes) -> bytes:
    """What makes the pieces an object that the tools of NATS can read: their subjects are a pattern here."""
    stored = reference.stored
    info = {
        "name": reference.part,
        "bucket": reference.writer,
        "nuid": f"{reference.reader}.{reference.part}.*",
        "size": stored.size,
        "chunks": stored.chunks,
        "mtime": rfc3339(time.time_ns()),
        "digest": f"SHA-256={base64.urlsafe_b64encode(digest).decode()}",
        "options": {"max_chunk_size": names.PART_CHUNK_BYTES},
    }
    return msgspec.json.encode(info)
