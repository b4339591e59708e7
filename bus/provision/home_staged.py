"""A home that is in use, copied as it was at one moment: what a power cut at that moment would have left.

It is copied twice while everything goes on, and once more, only what changed, while the server is held still. The
server acknowledges nothing meanwhile, so what any process believes to be stored is in the copy; what a process kept to
send later is sent after a restore, as after a power cut.

What one process writes in several steps is copied in the opposite order, so that the copy has no later step without
those before it: links to releases first, the objects of repositories last.

Guarantees: files are whole, as far as their writers replace them; the server is held no longer than `MOST_HELD_S`.
"""

from __future__ import annotations

import math
import os
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bus.provision.home_unpacked import CHUNK_BYTES
from schemas.errors import InvalidDocument

MOST_HELD_S: Final = 4.0
"""Below the time that a worker may be silent about a task."""
_SETTLED_NS: Final = 2_000_000_000
"""A file that was written later may change again within the same tick of its time."""
_SPARE_BYTES: Final = 64 << 20
_Found = dict[str, os.stat_result]
"""What there is, by its path below the home."""


@dataclass(slots=True)
class Staging:
    """The copy in `folder` of the home `root`, without what is in the folders `left_out`."""

    root: Path
    folder: Path
    left_out: Collection[str]
    _made: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """What is in the copy, and how the file was when it was copied; nothing where it may have changed since."""

    def fill(self, hold: Callable[[], AbstractContextManager[None]]) -> float:
        """Copy everything; returns for how many seconds the server was held by `hold`.

        Raises:
            InvalidDocument: there is no room, or the server would have to be held for too long. Also what `hold` raises.
        """
        self._require_room()
        for _ in range(2):
            self._copy_changed(math.inf)
        with hold():
            began = time.monotonic()
            found = self._copy_changed(began + MOST_HELD_S)
            held_s = time.monotonic() - began
        self._tidy(found)
        return held_s

    def _copy_changed(self, deadline: float) -> _Found:
        found = dict(self._found())
        for path in sorted(found, key=lambda path: (_rank(path), path)):
            state = _state(found[path])
            if self._made.get(path) == state:
                continue
            if time.monotonic() > deadline:
                raise InvalidDocument(
                    f"what changes is more than can be copied within {MOST_HELD_S:g} s, for which the server may be "
                    "held; take the backup at a quieter time, or with the fleet stopped"
                )
            try:
                _copy(self.root / path, self.folder / path, found[path].st_mode)
            except FileNotFoundError:
                del found[path]  # its writer has removed it
            else:
                self._made[path] = state if _is_settled(found[path]) else ()
        return found

    def _found(self) -> Iterator[tuple[str, os.stat_result]]:
        folders = [""]
        while folders:
            below = folders.pop()
            with suppress(FileNotFoundError), os.scandir(self.root / below) as entries:
                for entry in entries:
                    path = f"{below}/{entry.name}" if below else entry.name
                    if path in self.left_out:
                        continue
                    with suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        if not stat.S_ISSOCK(found.st_mode):
                            yield path, found
                        if stat.S_ISDIR(found.st_mode):
                            folders.append(path)

    def _tidy(self, found: _Found) -> None:
        """Take out what is gone, and give folders their modes."""
        for path in sorted(self._made.keys() - found.keys(), reverse=True):
            place = self.folder / path
            place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink(missing_ok=True)
        for path in sorted(found, reverse=True):
            if stat.S_ISDIR(found[path].st_mode):
                (self.folder / path).chmod(stat.S_IMODE(found[path].st_mode))

    def _require_room(self) -> None:
        wanted = sum(found.st_size for _, found in self._found() if not stat.S_ISDIR(found.st_mode))
        if shutil.disk_usage(self.folder).free < wanted + _SPARE_BYTES:
            raise InvalidDocument(
                f"{self.folder.parent} has no room for a copy of the home ({wanted >> 20:,} MiB), which a backup of a "
                "fleet that runs needs for a while; make room, or take it with the fleet stopped"
            )


def _copy(path: Path, to: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        to.mkdir(mode=0o700, exist_ok=True)
        return
    to.unlink(missing_ok=True)
    if stat.S_ISLNK(mode):
        to.symlink_to(path.readlink())
        return
    with path.open("rb") as source, to.open("xb") as out:  # in a folder that is the owner's alone
        shutil.copyfileobj(source, out, CHUNK_BYTES)
    shutil.copystat(path, to)


def _state(found: os.stat_result) -> tuple[int, ...]:
    """What is another number when a file has changed; a folder changes only with what is in it."""
    if stat.S_ISDIR(found.st_mode):
        return (found.st_mode,)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _is_settled(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) or time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS


def _rank(path: str) -> int:
    """When it is copied: what is written last comes first."""
    if path == "live" or path.startswith("live/"):
        return 0
    return 2 if ".git/objects" in path else 1
