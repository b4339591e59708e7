"""Files that a reader sees old or new, never half: on the disk before anything is said about them."""

from __future__ import annotations

import os
from pathlib import Path


def replace_durably(path: Path, data: bytes, mode: int = 0o600, *, keeps_owner: bool = False) -> None:
    """Put `data` in the place of the file; when this returns, a power cut does not bring the old one back.

    `keeps_owner`: mode and owner stay those of the file that is there, if there is one.

    Raises:
        OSError: the disk refuses; the old one stays.
    """
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if keeps_owner and path.exists():
            _become(descriptor, path.stat())
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def _become(descriptor: int, before: os.stat_result) -> None:
    now = os.fstat(descriptor)
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o777)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
