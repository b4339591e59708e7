"""A stream as the server itself hands it out and takes it back: sequences, times, headers and bytes stay what they were.

    DIR/AUDIT.snapshot        the server's own archive of the stream
    DIR/AUDIT.snapshot.json   what it holds, and its digest
    DIR/AUDIT_1_30000.snapshot, …   the same of each archive of a trail that was rotated

Chunks are acknowledged one by one, so neither side holds more than a few of them. Whoever calls this needs all rights
in the stream's account. The digest tells damage; that nobody changed the archive is shown by verifying what it gives.
nats-server encrypts its own files and not what it hands out: the archive can be read by whoever has it.

Source: JetStream API (`STREAM.SNAPSHOT`, `STREAM.RESTORE`); measured on nats-server 2.15.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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
_OURS: Final = "agentbus."
"""How keys of ours in a stream's metadata begin; others are the server's."""
_CHUNK_BYTES = 128 * 1024
_SILENCE_S = 30.0
"""How long the server may take for one chunk."""
_TAKING_IN_S = 600.0
"""How long it may take to check a whole stream, or to read a whole archive in."""

_WHOLE = frozenset({"", "204"})
"""How the last message of a snapshot says that nothing went wrong: without headers where one chunk was all."""


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the archive holds: the stream's state as the server said it, and the SHA-256 of the archive's bytes."""

    stream: str = names.AUDIT
    state: dict[str, Any]
    sha256: str
    metadata: dict[str, str] = {}
    """Of the stream, as far as it is ours."""

    @property
    def last(self) -> int:
        """The last stream sequence in it."""
        return int(self.state["last_seq"])


def _paths(directory: Path, stream: str) -> tuple[Path, Path]:
    """The archive of a stream, and what is said of it."""
    return directory / f"{stream}.snapshot", directory / f"{stream}.snapshot.json"


def read_contents(directory: Path, stream: str = names.AUDIT) -> Contents:
    """What the archive of a stream in `directory` holds; its bytes are those that were written.

    Raises:
        InvalidDocument: there is none, it cannot be read, or its bytes are others.
    """
    archive, path = _paths(directory, stream)
    try:
        contents = msgspec.json.decode(path.read_bytes(), type=Contents)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidDocument(f"{directory} holds no snapshot that can be read: {error}") from None
    if digest != contents.sha256 or stream != contents.stream:
        raise InvalidDocument(f"{archive} is damaged: its bytes are not those that were written")
    return contents


async def take_snapshot(connection: Connection, directory: Path, stream: str = names.AUDIT) -> Contents:
    """Write a stream as it is now to `directory`, in place of what was taken before, readable by its owner only.

    Raises:
        ApiError: the server refused. Unavailable, DeadlineExceeded: it did not hand out the whole; what was taken
            before stays.
    """
    archive, path = _paths(directory, stream)
    unfinished = archive.with_name(f"{archive.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        async with _handed_out(connection, stream) as (answer, chunks):
            async for chunk in chunks:
                file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        contents = Contents(
            stream=stream, state=answer["state"], sha256=hashlib.file_digest(file, "sha256").hexdigest(),
            metadata=ours(answer["config"]),
        )  # fmt: skip
    path.unlink(missing_ok=True)  # never beside an archive that it does not speak of
    unfinished.replace(archive)
    replace_durably(path, msgspec.json.format(msgspec.json.encode(contents)))
    return contents


def ours(config: Mapping[str, Any]) -> dict[str, str]:
    """The keys of ours in a stream's metadata."""
    return {key: value for key, value in (config.get("metadata") or {}).items() if key.startswith(_OURS)}


async def put_back(connection: Connection, directory: Path, config: Mapping[str, Any]) -> None:
    """Have the server make a stream again from its archive in `directory`, with `config`; there must be none.

    Raises:
        ApiError: the server refused, also because the archive is no archive of its own.
        Unavailable, DeadlineExceeded: it did not take the whole; then there may be a stream.
    """
    stream = str(config["name"])
    contents = read_contents(directory, stream)
    with _paths(directory, stream)[0].open("rb") as file:
        await _take_in(connection, {**config, "metadata": contents.metadata}, contents.state, _chunks(file))


async def copy_stream(connection: Connection, stream: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Have the server make another stream with `config` of all that `stream` holds; returns the state it was in.

    Nothing of it touches the disk on this side. Raises as `take_snapshot` and `put_back`.
    """
    async with _handed_out(connection, stream) as (answer, chunks):
        state: dict[str, Any] = answer["state"]
        await _take_in(connection, config, state, chunks)
    return state


async def hand_over_stream(old: Connection, new: Connection, stream: str) -> None:
    """Have another server hold the stream with its consumers, as it is. Raises as `copy_stream`."""
    async with _handed_out(old, stream, with_consumers=True) as (answer, chunks):
        config = {**answer["config"], "metadata": ours(answer["config"])}
        await _take_in(new, config, answer["state"], chunks)


@asynccontextmanager
async def _handed_out(
    connection: Connection, stream: str, *, with_consumers: bool = False
) -> AsyncIterator[tuple[dict[str, Any], AsyncIterator[bytes]]]:
    """What the server says of the stream, and every chunk of it, each acknowledged when the next one is asked for."""
    inbox = f"{connection.profile.inbox_prefix}.{connection.unique()}"
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await connection.subscribe(inbox, arrived.put_nowait)
    request = {"deliver_subject": inbox, "no_consumers": not with_consumers, "jsck": True, "chunk_size": _CHUNK_BYTES}
    try:
        yield (
            await call(connection, f"STREAM.SNAPSHOT.{stream}", request, timeout_s=_TAKING_IN_S),
            _acknowledged(connection, arrived),
        )
    finally:
        await connection.forget(subscription)


async def _acknowledged(connection: Connection, arrived: asyncio.Queue[Msg]) -> AsyncIterator[bytes]:
    while (chunk := await _next(arrived)).data:
        yield chunk.data
        if chunk.reply:  # the last one has none
            await connection.publish(chunk.reply)
    if (status := chunk.headers.get("Status", "")) not in _WHOLE:
        raise Unavailable(f"the server broke the snapshot off: {status} {chunk.headers.get('Description', '')}")


async def _next(arrived: asyncio.Queue[Msg]) -> Msg:
    try:
        async with asyncio.timeout(_SILENCE_S):
            return await arrived.get()
    except TimeoutError:
        raise DeadlineExceeded(f"the server handed out nothing more for {_SILENCE_S:g} s") from None


async def _take_in(
    connection: Connection, config: Mapping[str, Any], state: dict[str, Any], chunks: AsyncIterator[bytes]
) -> None:
    request = {"config": dict(config), "state": state}
    answer = await call(connection, f"STREAM.RESTORE.{config['name']}", request)
    target = str(answer["deliver_subject"])
    async for chunk in chunks:
        _refuse_error((await connection.request(target, chunk, timeout_s=_SILENCE_S)).data)
    _refuse_error((await connection.request(target, timeout_s=_TAKING_IN_S)).data)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _refuse_error(answer: bytes) -> None:
    """A chunk is answered with nothing, the end with the stream, either with an error."""
    if answer and (error := msgspec.json.decode(answer).get("error")):
        raise ApiError(int(error.get("err_code", 0)), str(error.get("description", "")))
