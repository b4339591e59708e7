"""Reading the file of a whole home as something that anybody may have written.

What a copy may hold is a list, and anything else is refused before it is written: folders, regular files and links,
each below `home/`, once, after the folder that it is in; links that lead to another place of the same home; and
`contents.json` at the end. Owners and special bits of modes are not taken over: whoever reads it owns what comes of it.

Guarantees: nothing is written outside of the folder that is named, nor more than its disk has room for; what a header
may take of memory is bounded, however much it says that it holds. Not guaranteed: that it is the copy that somebody
made; whoever changed it could change its digests too.

Source: POSIX.1-2001 (pax); PEP 706.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from schemas.errors import InvalidDocument

CONTENTS: Final = "contents.json"
BELOW: Final = "home"
CHUNK_BYTES: Final = 1 << 20
_MOST_HEADER_BYTES: Final = 64 << 10
"""Of one member, with its long names."""
_MOST_CONTENTS_BYTES: Final = 64 << 20
_MOST_MEMBERS: Final = 500_000
_PADDING_BYTES: Final = tarfile.RECORDSIZE
_SPARE_BYTES: Final = 16 << 20
"""What is left of the disk."""
_LATEST_S: Final = 1 << 33
_MODES: Final = 0o755
"""Nobody but the owner writes."""

Into = Callable[[tarfile.TarInfo, str, Iterator[bytes]], object]
"""Takes a member, its path below the home, and its content, all of which it reads."""


class Readable(Protocol):
    """What a copy is read from."""

    def read(self, size: int, /) -> bytes:
        """As a file's."""


class _Bounded:
    """A stream that is read forward only, and gives headers no more than a header takes."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._at = 0
        self._left: int | None = _MOST_HEADER_BYTES

    def header_begins(self) -> None:
        """From here on little may be read."""
        self._left = _MOST_HEADER_BYTES

    def content_begins(self) -> None:
        """From here on it is read in chunks."""
        self._left = None

    def tell(self) -> int:
        """How much was read."""
        return self._at

    def seek(self, place: int) -> None:
        """Read on to `place`."""
        while self._at < place:
            if not self.read(min(place - self._at, CHUNK_BYTES)):
                return

    def read(self, size: int) -> bytes:
        """As a file's."""
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise InvalidDocument("a header in it is larger than any of ours")
        data = self._stream.read(size)
        self._at += len(data)
        return data


@dataclass(slots=True)
class _Seen:
    """What was found so far, by its path below the home."""

    folders: set[str] = field(default_factory=lambda: {""})
    others: set[str] = field(default_factory=set)

    def add(self, member: tarfile.TarInfo, path: str) -> None:
        """Note it, and refuse what is there already or has no folder to be in."""
        if path in self.folders or path in self.others:
            raise InvalidDocument(f"{path} is in it twice")
        if posixpath.dirname(path) not in self.folders:
            raise InvalidDocument(f"{path} is in it without the folder that it is in")
        if len(self.folders) + len(self.others) > _MOST_MEMBERS:
            raise InvalidDocument(f"it holds more than {_MOST_MEMBERS:,} files")
        (self.folders if member.isdir() else self.others).add(path)


def is_within(path: str, target: str) -> bool:
    """Whether a link at `path`, both below the home, leads to another place of it, whatever other links are on the way."""
    steps = target.split("/")
    up = next((number for number, step in enumerate(steps) if step != ".."), len(steps))
    is_plain = all(step not in {"", ".", ".."} for step in steps[up:])
    return is_plain and up <= path.count("/") and up < len(steps)


def members_of(stream: Readable, into: Into) -> tuple[dict[str, str], bytes]:
    """Give each member to `into`; returns the SHA-256 of each file by its path below the home, and `contents.json`.

    Raises:
        InvalidDocument: it holds what no copy of a home does. OSError, EOFError, TarError, zlib.error: it is damaged.
    """
    source, seen = _Bounded(stream), _Seen()
    digests: dict[str, str] = {}
    with tarfile.open(fileobj=source, mode="r:") as tar:  # type: ignore[call-overload]
        for member in _each(tar, source):
            if member.name == CONTENTS:
                data = _contents(tar, member)
                _require_end(tar, source, stream)
                return digests, data
            path = _path_of(member)
            seen.add(member, path)
            digest = hashlib.sha256()
            into(member, path, _chunks(tar, member, digest.update))
            if member.isreg():
                digests[path] = digest.hexdigest()
    raise InvalidDocument("its end is missing")


def _each(tar: tarfile.TarFile, source: _Bounded) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        source.content_begins()
        tar.members.clear()  # type: ignore[attr-defined]  # else all of them stay in memory
        yield member
        source.seek(tar.offset)
        source.header_begins()


def _path_of(member: tarfile.TarInfo) -> str:
    """Where below the home it belongs."""
    top, _, path = member.name.partition("/")
    if top != BELOW or any(step in {"", ".", ".."} for step in path.split("/")) or "\0" in path:
        raise InvalidDocument(f"{member.name!r} would lie outside of the home")
    if member.type not in {tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE} or member.issparse():
        raise InvalidDocument(f"{path} is neither a file nor a folder nor a link to one")
    if member.size < 0 or (member.size and not member.isreg()):
        raise InvalidDocument(f"{path} has a content that it cannot have")
    if member.issym() and not is_within(path, member.linkname):
        raise InvalidDocument(f"{path} is a link that leads out of the home")
    return path


def _chunks(tar: tarfile.TarFile, member: tarfile.TarInfo, told: Callable[[bytes], object]) -> Iterator[bytes]:
    content = tar.extractfile(member) if member.isreg() else None
    while content and (chunk := content.read(CHUNK_BYTES)):
        told(chunk)
        yield chunk


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.type != tarfile.REGTYPE or member.issparse() or not 0 <= member.size <= _MOST_CONTENTS_BYTES:
        raise InvalidDocument(f"{CONTENTS} in it is no list of ours")
    return b"".join(_chunks(tar, member, len))


def _require_end(tar: tarfile.TarFile, source: _Bounded, stream: Readable) -> None:
    source.header_begins()
    if tar.next() is not None:
        raise InvalidDocument(f"something follows {CONTENTS}")
    if any(stream.read(_PADDING_BYTES)) or stream.read(1):  # and the sum over all of it: names, modes and times too
        raise InvalidDocument("something follows its end")


class Making:
    """A folder that is filled from a copy; it is its owner's alone until it is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = shutil.disk_usage(folder).free - _SPARE_BYTES
        self._folders: list[tuple[Path, int]] = []

    def make(self, member: tarfile.TarInfo, path: str, content: Iterator[bytes]) -> None:
        """Make a member that `members_of` gives."""
        place = self._folder / path
        if member.issym():
            place.symlink_to(member.linkname)
        elif member.isdir():
            place.mkdir(0o700)
            self._folders.append((place, member.mode & _MODES))
        else:
            self._write(member, place, content)

    def _write(self, member: tarfile.TarInfo, place: Path, content: Iterator[bytes]) -> None:
        self._left -= member.size
        if self._left < 0:
            raise InvalidDocument(f"the disk of {self._folder.parent} has no room for what is in it")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(place, flags, 0o600), "wb") as file:
            for chunk in content:
                file.write(chunk)
            os.fchmod(file.fileno(), member.mode & _MODES)
        at = member.mtime if 0 <= member.mtime <= _LATEST_S else 0
        os.utime(place, (at, at))

    def end(self) -> None:
        """Give folders their modes, and bring everything to the disk."""
        for place, mode in reversed(self._folders):
            place.chmod(mode)
        os.sync()
