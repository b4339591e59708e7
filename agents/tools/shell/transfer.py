"""The workspace on its way to a command and back: a tar of plain files, bounded, never with a link.

What comes back was written by the command: it is put into the workspace file by file, by names that stay in it, and
only where it differs from what was sent.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from agents.tools.files.workspace import MAX_ENTRIES, Workspace, parts_of

MAX_BYTES: Final = 48 << 20
"""Of all files together, each way: the unit keeps them in memory."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Sums = dict[str, bytes]
"""What each file had in it, by path."""


class TooMuch(Exception):
    """There is more than may be carried."""


def pack(root: Path, out: IO[bytes]) -> Sums:
    """Write the plain files below `root` as a tar; links and everything else stay behind.

    Raises:
        TooMuch: there is more than `MAX_BYTES` or `MAX_ENTRIES`. OSError: a file cannot be read.
    """
    sums: Sums = {}
    room = MAX_BYTES
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, folder, found in _plain_files(root):
            with _opened(name.rpartition("/")[2], folder) as file:
                content = file.read(room + 1)
            room -= len(content)
            if room < 0 or len(sums) >= MAX_ENTRIES:
                raise TooMuch
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), stat.S_IMODE(found.st_mode) & 0o700
            archive.addfile(entry, io.BytesIO(content))
            sums[name] = _sum(content)
    return sums


def unpack(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """The files of a tar that came: path and content.

    Raises:
        TooMuch: there is more than may be. ToolFailed: a name leads elsewhere. tarfile.TarError: it is no tar.
    """
    room = MAX_BYTES
    for count, entry in enumerate(archive):
        room -= entry.size
        if room < 0 or count >= MAX_ENTRIES:
            raise TooMuch
        parts_of(entry.name)
        content = archive.extractfile(entry) if entry.isreg() else None
        if content is not None:
            yield entry.name, content.read()


def place(workspace: Workspace, sent: Sums, files: Iterator[tuple[str, bytes]]) -> None:
    """Have the workspace hold what came back: what is new or changed is written, what is gone is removed.

    Raises:
        ToolFailed: a file cannot be written. Those of `unpack`.
    """
    seen = set()
    for name, content in files:
        seen.add(name)
        if sent.get(name) != _sum(content):
            workspace.write(name, content)
    for name in sent.keys() - seen:
        workspace.remove(name)


def _plain_files(root: Path) -> Iterator[tuple[str, int, os.stat_result]]:
    top = os.open(root, _FOLDER)
    try:
        for where, folders, files, folder in os.fwalk(".", dir_fd=top, follow_symlinks=False):
            folders.sort()
            for name in sorted(files):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                path = f"{where}/{name}".removeprefix("./")
                if stat.S_ISREG(found.st_mode) and path.isprintable():
                    yield path, folder, found
    finally:
        os.close(top)


def _opened(name: str, folder: int) -> IO[bytes]:
    return os.fdopen(os.open(name, _READ, dir_fd=folder), "rb")


def _sum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
