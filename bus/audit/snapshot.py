"""A stream as the server itself hands it out and takes it back: sequences, times, headers and bytes stay what they were.

    DIR/AUDIT.snapshot        the server's own archive of the stream
    DIR/AUDIT.snapshot.json   what it holds, and its digest

Chunks are acknowledged one by one, so neither side holds more than a few of them. Whoever calls this needs all rights
in the stream's account. The digest tells damage; that nobody changed the archive is shown by verifying what it gives.
nats-server encrypts its own files and not what it hands out: the archive can be read by whoever has it.

Source: JetStream API (`STREAM.SNAPSHOT`, `STREAM.RESTORE`); measured on nats-server 2.15.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bus.connection import Connection, Msg
from bus.files import replace_durably
from bus.jetstream import ApiError, call
from schemas import names
from schemas.errors import DeadlineExceeded, InvalidDocument, Unavailable

ARCHIVE: Final = f"{names.AUDIT}.snapshot"
CONTENTS: Final = f"{ARCHIVE}.json"
_CHUNK_BYTES = 128 * 1024
_SILENCE_S = 30.0
"""How long the server may take for one chunk."""
_TAKING_IN_S = 600.0
"""How long it may take to read a whole archive in."""

_WHOLE = frozenset({"", "204"})
"""How the last message of a snapshot says that nothing went wrong: without headers where one chunk was all."""


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the archive holds: the stream's state as the server said it, and the SHA-256 of the archive's bytes."""

    stream: str = names.AUDIT
    state: dict[str, Any]
    sha256: str

    @property
    def last(self) -> int:
        """The last stream sequence in it."""
        return int(self.state["last_seq"])


def read_contents(directory: Path) -> Contents:
    """What the archive in `directory` holds; its bytes are those that were written.

    Raises:
        InvalidDocument: there is none, it cannot be read, or its bytes are others.
    """
    path = directory / CONTENTS
    try:
        contents = msgspec.json.decode(path.read_bytes(), type=Contents)
        with (directory / ARCHIVE).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidDocument(f"{directory} holds no snapshot that can be read: {error}") from None
    if digest != contents.sha256:
        raise InvalidDocument(f"{directory / ARCHIVE} is damaged: its bytes are not those that were written")
    return contents


async def take_snapshot(connection: Connection, directory: Path) -> Contents:
    """Write the stream as it is now to `directory`, in place of what was taken before, readable by its owner only.

    Raises:
        ApiError: the server refused. Unavailable, DeadlineExceeded: it did not hand out the whole; what was taken
            before stays.
    """
    unfinished = directory / f"{ARCHIVE}.unfinished"
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        state = await _receive(connection, file)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        contents = Contents(state=state, sha256=hashlib.file_digest(file, "sha256").hexdigest())
    (directory / CONTENTS).unlink(missing_ok=True)  # never beside an archive that it does not speak of
    unfinished.replace(directory / ARCHIVE)
    replace_durably(directory / CONTENTS, msgspec.json.format(msgspec.json.encode(contents)))
    return contents


async def _receive(connection: Connection, file: BinaryIO) -> dict[str, Any]:
    """Write every chunk to `file`; returns the stream's state."""
    inbox = f"{connection.profile.inbox_prefix}.{connection.unique()}"
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await connection.subscribe(inbox, arrived.put_nowait)
    request = {"deliver_subject": inbox, "no_consumers": True, "jsck": True, "chunk_size": _CHUNK_BYTES}
    try:
        answer = await call(connection, f"STREAM.SNAPSHOT.{names.AUDIT}", request)
        while (chunk := await _next(arrived)).data:
            file.write(chunk.data)
            if chunk.reply:  # the last one has none
                await connection.publish(chunk.reply)
    finally:
        await connection.forget(subscription)
    if (status := chunk.headers.get("Status", "")) not in _WHOLE:
        raise Unavailable(f"the server broke the snapshot off: {status} {chunk.headers.get('Description', '')}")
    state: dict[str, Any] = answer["state"]
    return state


async def _next(arrived: asyncio.Queue[Msg]) -> Msg:
    try:
        async with asyncio.timeout(_SILENCE_S):
            return await arrived.get()
    except TimeoutError:
        raise DeadlineExceeded(f"the server handed out nothing more for {_SILENCE_S:g} s") from None


async def put_back(connection: Connection, directory: Path, config: dict[str, Any]) -> None:
    """Have the server make the stream again from the archive in `directory`, with `config`; there must be none.

    Raises:
        ApiError: the server refused, also because the archive is no archive of its own.
        Unavailable, DeadlineExceeded: it did not take the whole; then there may be a stream.
    """
    state = read_contents(directory).state
    answer = await call(connection, f"STREAM.RESTORE.{names.AUDIT}", {"config": config, "state": state})
    target = str(answer["deliver_subject"])
    with (directory / ARCHIVE).open("rb") as file:
        for chunk in _chunks(file):
            _refuse_error((await connection.request(target, chunk, timeout_s=_SILENCE_S)).data)
    _refuse_error((await connection.request(target, timeout_s=_TAKING_IN_S)).data)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _refuse_error(answer: bytes) -> None:
    """A chunk is answered with nothing, the end with the stream, either with an error."""
    if answer and (error := msgspec.json.decode(answer).get("error")):
        raise ApiError(int(error.get("err_code", 0)), str(error.get("description", "")))
