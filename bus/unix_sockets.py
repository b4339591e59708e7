"""Unix sockets in folders that may lie deep."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LONGEST: Final = 100
_BACKLOG: Final = 64


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name of a socket that fits the kernel's 107 bytes, however deep the folder lies.

    Source: unix(7); Linux resolves /proc/self/fd/N to the open folder.
    """
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}" if len(os.fsencode(path)) > _LONGEST else str(path)
    finally:
        os.close(descriptor)


def listening(path: Path, mode: int = 0o600) -> socket.socket:
    """A socket that listens at `path`, in the place of what an earlier process left there.

    Raises:
        OSError: it cannot be made.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        with short_name(path) as name:
            path.unlink(missing_ok=True)
            made.bind(name)
            path.chmod(mode)
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def remove(path: Path, made: tuple[int, int]) -> None:
    """Remove the socket with this device and inode; one that another process has put in its place stays."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == made:
            path.unlink()


def identity(path: Path) -> tuple[int, int]:
    """What `remove` knows a socket by."""
    found = path.lstat()
    return found.st_dev, found.st_ino
