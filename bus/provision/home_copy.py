"""The whole home of a fleet in one file, and a home made of it again.

    FILE    a compressed tar, mode 0600: the files of the home below `home/`, and last `contents.json`

Everything is in it but sockets and logs: repositories, keys, configuration, state, releases, and JetStream's files
with every stream and consumer as they were. What is encrypted on the disk is so in the file, and its key is in the
file too: whoever has the file has the fleet.

Guarantees: a file that `write_copy` finished is on the disk and was read again with every digest as written; nothing
half-written has its name. `unpack` makes all of a home or none, whoever wrote the file. Not guaranteed: that nobody
changed the file, which the digests in it do not show; its own digest, kept elsewhere, does, and the trail in it is
verified by who restores it.

Source: POSIX.1-2001 (pax).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from bus.files import sync_folder
from bus.provision.home_staged import Staging
from bus.provision.home_unpacked import BELOW, CONTENTS, Into, Making, is_within, members_of
from schemas.errors import InvalidDocument

_LEFT_OUT: Final = frozenset({"run", "log"})
Progress = Callable[[int], None]
"""Told how many bytes of files are done."""


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a copy holds. `files`: the SHA-256 of each, by its path below the home."""

    format: int = 1
    fleet: str
    made_at: str
    program: str
    files: dict[str, str]
    bytes: int


def size_of(root: Path) -> int:
    """The bytes of all files that a copy of this home has."""
    return sum(path.lstat().st_size for path in _paths(root) if path.is_file() and not path.is_symlink())


def require_new(file: Path) -> None:
    """Refuse to write over anything.

    Raises:
        InvalidDocument: the file is there.
    """
    if file.exists():
        raise InvalidDocument(f"{file} is there already; a backup replaces nothing")


@contextmanager
def still(root: Path, hold: Callable[[], AbstractContextManager[None]]) -> Iterator[tuple[Path, float]]:
    """A copy beside the home of a fleet that runs, as it was at one moment, and for how long its server was held.

    Raises:
        InvalidDocument: it cannot be made; nothing of it is left. Also what `hold` raises.
    """
    folder = root.with_name(f".{root.name}.backup")
    _remove(folder)
    try:
        folder.mkdir(mode=0o700)
        yield folder, Staging(root, folder, _LEFT_OUT).fill(hold)
    except OSError as error:
        raise InvalidDocument(f"{folder} cannot be made: {error.strerror}") from None
    finally:
        _remove(folder)


def write_copy(root: Path, file: Path, about: Contents, progress: Progress) -> Contents:
    """Put the home into `file`, which must not be there; returns what it holds. Of `about` the files are filled in.

    Raises:
        InvalidDocument: the file is there, or cannot be written; nothing of it is left.
    """
    require_new(file)
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)  # whoever may write to the folder may have put something in its place
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w+b") as out:
            contents = _packed(root, out, about, progress)
            out.flush()
            os.fsync(out.fileno())
        read_copy(unfinished)
        unfinished.rename(file)
        sync_folder(file.parent)
    except OSError as error:
        raise InvalidDocument(f"{file} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return contents


def _packed(root: Path, out: IO[bytes], about: Contents, progress: Progress) -> Contents:
    digests: dict[str, str] = {}
    done = 0
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as tar:
        for path in _paths(root):
            relative = path.relative_to(root).as_posix()
            info = tar.gettarinfo(path, f"{BELOW}/{relative}")
            if not info.isreg():
                tar.addfile(info)
                continue
            info.type, info.linkname = tarfile.REGTYPE, ""  # two names of one file are two files
            with path.open("rb") as content:
                hashing = _Hashing(content)
                tar.addfile(info, hashing)
            digests[relative] = hashing.digest
            done += info.size
            progress(done)
        contents = msgspec.structs.replace(about, files=digests, bytes=done)
        data = msgspec.json.encode(contents)
        info = tarfile.TarInfo(CONTENTS)
        info.size, info.mode = len(data), 0o600
        tar.addfile(info, io.BytesIO(data))
    return contents


def _paths(root: Path) -> Iterator[Path]:
    """Folders, files and links, each after the folder that it is in. Sockets are nobody's files."""
    for path in sorted(root.rglob("*")):
        if path.relative_to(root).parts[0] in _LEFT_OUT or path.is_socket():
            continue
        if path.is_symlink() and not is_within(path.relative_to(root).as_posix(), str(path.readlink())):
            raise InvalidDocument(
                f"{path.relative_to(root)} is a link that leads out of the home: what is there would not be copied; mount it there"
            )
        yield path


class _Hashing(io.RawIOBase):
    """A file that remembers the digest of what was read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        """Of all that was read so far."""
        return self._hash.hexdigest()


def read_copy(file: Path) -> Contents:
    """What the copy holds; every file in it is as it was written.

    Raises:
        InvalidDocument: it is no copy, or is damaged; the message names the first file that is.
    """
    with _opened(file) as stream:
        return _compared(file, *_read(file, stream, lambda _member, _path, content: deque(content, 0)))


def unpack(file: Path, root: Path, digest: str = "", look: Callable[[Path], object] = lambda _: None) -> Contents:
    """Make the home `root` of a copy: all of it and with its modes, the caller's own, or nothing; returns what it holds.

    `digest`: the SHA-256 that the file must have. `look` sees the home before it has its name, and may refuse it.

    Raises:
        InvalidDocument: there is something at `root`; the file is no copy, is damaged, or another one. What `look` raises.
    """
    if root.is_symlink() or (root.exists() and any(root.iterdir())):
        raise InvalidDocument(
            f"{root} is not empty; a restore replaces nothing: move what is there to where you keep it"
        )
    fresh = root.with_name(f".{root.name}.restoring")
    _remove(fresh)
    try:
        fresh.mkdir(parents=True, mode=0o700)
        with _opened(file) as stream:
            _require_digest(file, stream, digest)
            making = Making(fresh)
            contents = _compared(file, *_read(file, stream, making.make))
        making.end()
        look(fresh)
        if root.exists():
            root.rmdir()
        fresh.rename(root)
    except OSError as error:
        raise InvalidDocument(f"{root} cannot be made: {error.strerror}") from None
    finally:
        _remove(fresh)
    sync_folder(root.parent)
    return contents


def digest_of(file: Path) -> str:
    """The SHA-256 of the file, for who keeps it elsewhere."""
    with _opened(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _opened(file: Path) -> io.BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise InvalidDocument(f"{file} cannot be read: {error.strerror}") from None


def _read(file: Path, stream: io.BufferedReader, into: Into) -> tuple[dict[str, str], bytes]:
    try:
        with gzip.open(stream) as unzipped:
            return members_of(unzipped, into)
    except InvalidDocument as error:
        raise InvalidDocument(f"{file} is no backup of a home: {error}") from None
    except (gzip.BadGzipFile, EOFError, tarfile.TarError, zlib.error) as error:
        raise InvalidDocument(f"{file} is no backup that can be read: {error}") from None


def _compared(file: Path, found: dict[str, str], data: bytes) -> Contents:
    try:
        contents = msgspec.json.decode(data, type=Contents)
    except msgspec.DecodeError as error:
        raise InvalidDocument(f"{file} is no backup, or its end is missing: {error}") from None
    other = sorted(name for name in {*found, *contents.files} if found.get(name) != contents.files.get(name))
    if other:
        raise InvalidDocument(f"{file} is damaged: {other[0]} is not what was written")
    return contents


def _require_digest(file: Path, stream: io.BufferedReader, digest: str) -> None:
    """The file that is open is the one that was made, whoever has had it since."""
    if digest and (found := hashlib.file_digest(stream, "sha256").hexdigest()) != digest.lower():
        raise InvalidDocument(f"{file} is another file than was made: its SHA-256 is {found}")
    stream.seek(0)


def _remove(folder: Path) -> None:
    """A folder with all that is in it, read-only folders too, as releases are; of a link nothing but the link."""
    if folder.is_symlink():
        folder.unlink()
    for inner in (folder, *folder.rglob("*")):
        if inner.is_dir() and not inner.is_symlink():
            inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
