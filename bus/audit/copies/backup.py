"""A copy of the trail in a folder: lines of JSON that anybody can read, and the verifier as well as a server's stream.

    DIR/manifest.json                     which files there are, and what each holds
    DIR/AUDIT-000000000001.jsonl          {"sequence":1,"headers":…,"payload":…}: as the server answered, byte for byte

Guarantees: what a finished file holds is on the disk and never written again; a copy that was interrupted goes on
where it stopped. Not guaranteed: anything that a signature does not show. Whoever can write to the folder can change
it, as the stream; `agentbus audit verify --offline DIR` tells.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bus.audit.read import Reader, Record, record_of
from bus.audit.writing.head import Head
from bus.connection import Msg
from bus.files import replace_durably
from schemas import names
from schemas.errors import InvalidDocument

MANIFEST: Final = "manifest.json"
_MESSAGES_A_FILE = 50_000
_PROGRESS_EVERY = 1_000
Progress = Callable[[int, int], None]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file: which stream sequences are in it, and the digest of its bytes."""

    file: str
    first: int
    last: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds. `heads` are what the producers' host knew of the stream's end when it was made."""

    stream: str = names.AUDIT
    parts: tuple[Part, ...] = ()
    heads: tuple[Head, ...] = ()

    @property
    def last(self) -> int:
        """The last stream sequence in it, 0 when there is none."""
        return self.parts[-1].last if self.parts else 0


class _Line(msgspec.Struct, omit_defaults=True):
    """`headers` is the block that the server sent, its own lines with subject and time included."""

    sequence: int
    headers: str = ""
    payload: str = ""
    is_base64: bool = False
    """Headers and payload are: they are not UTF-8."""


def read_manifest(directory: Path) -> Manifest:
    """What is in `directory`; an empty one where nothing was backed up yet.

    Raises:
        InvalidDocument: its manifest cannot be read.
    """
    path = directory / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidDocument(f"{path} cannot be read: {error}; back up into another folder") from None


async def back_up(reader: Reader, directory: Path, heads: Sequence[Head], on_progress: Progress) -> Manifest:
    """Add what the stream holds beyond the backup in `directory`. `heads` must have been read before.

    Raises:
        InvalidDocument: the folder holds something else, or the stream does not go on where the backup ends.
        Unavailable, DeadlineExceeded: the server went away; what is in finished files stays.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    manifest = read_manifest(directory)
    bounds = await reader.bounds()
    if bounds.last < manifest.last:
        raise InvalidDocument(
            f"the stream ends at sequence {bounds.last}, before this backup's {manifest.last}: it lost its end or is "
            "another stream; keep this backup, and run: agentbus audit verify"
        )
    while manifest.last < bounds.last:
        last = min(bounds.last, manifest.last + _MESSAGES_A_FILE)
        part = await _write_part(reader, directory, manifest.last + 1, last, on_progress)
        manifest = Manifest(parts=(*manifest.parts, part), heads=tuple(heads))
        replace_durably(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    on_progress(bounds.last, bounds.last)
    return manifest


def records_in(directory: Path) -> Iterator[Record]:
    """Every record of a backup, in the order of its files.

    Raises:
        InvalidDocument: a file is missing, or a line of it cannot be read.
    """
    for part in read_manifest(directory).parts:
        path = directory / Path(part.file).name
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    yield _record(line, f"{path}, line {number}")
        except OSError as error:
            raise InvalidDocument(f"{path} cannot be read: {error.strerror}") from None


def damaged_parts(directory: Path) -> list[str]:
    """Files whose bytes are not those that were written."""
    return [
        part.file for part in read_manifest(directory).parts if _digest(directory / Path(part.file).name) != part.sha256
    ]


async def _write_part(reader: Reader, directory: Path, first: int, last: int, on_progress: Progress) -> Part:
    name = f"{names.AUDIT}-{first:012d}.jsonl"
    digest, reached = hashlib.sha256(), first - 1
    unfinished = directory / f"{name}.unfinished"
    with unfinished.open("wb") as file:
        async for record in reader.records(first, until=last):
            line = _encoded(record)
            file.write(line)
            digest.update(line)
            reached = record.sequence
            if reached % _PROGRESS_EVERY == 0:
                on_progress(reached, last)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(directory / name)
    return Part(file=name, first=first, last=last, sha256=digest.hexdigest())


def _encoded(record: Record) -> bytes:
    try:
        line = _Line(record.sequence, record.block.decode(), record.payload.decode())
    except UnicodeDecodeError:
        line = _Line(record.sequence, _base64(record.block), _base64(record.payload), is_base64=True)
    return msgspec.json.encode(line) + b"\n"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _record(text: bytes, where: str) -> Record:
    try:
        line = _decoder.decode(text)
        to_bytes = base64.b64decode if line.is_base64 else str.encode
        message = Msg("", "", to_bytes(line.payload), to_bytes(line.headers))
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidDocument(f"{where} is not a record of a backup: {error}") from None
    return record_of(message, line.sequence)


_decoder = msgspec.json.Decoder(_Line)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
