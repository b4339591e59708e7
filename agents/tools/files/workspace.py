"""A folder that no path leads out of: every step of a path is opened by itself, and none may be a link.

Guaranteed whatever else changes the folder meanwhile, commands in the sandbox included: what is read or written is a
plain file below the folder. Each name is opened relative to the folder before it (`openat`, `O_NOFOLLOW`), so there is
no moment between looking and opening. Contents are replaced whole: a reader sees the old file or the new one.

Source: openat(2); openat2(2) RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, which this does step by step.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agents.tools.errors import ToolFailed

NAME: Final = "workspace"
MAX_ENTRIES: Final = 10_000
"""Files and folders together; with more, nothing is written."""
_MAX_DEPTH, _MAX_PATH = 20, 1000
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without blocking: a pipe that somebody put there would never open."""
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNFINISHED: Final = ".agentbus-"


class Workspace:
    """The folder `workspace` in the agent's own folder. It is made when it is first used."""

    def __init__(self, state: Path) -> None:
        self.root = state / NAME

    def ensure(self) -> Path:
        """The folder itself, made, and open to its owner alone.

        Raises:
            ToolFailed: it cannot be had.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not stat.S_ISDIR(self.root.lstat().st_mode):
                raise ToolFailed("the workspace is no folder")
            self.root.chmod(0o700)  # a command in the sandbox may have closed it
        except OSError as error:
            raise _failed("the workspace", error) from None
        return self.root

    def read(self, path: str, max_bytes: int) -> bytes:
        """The content of a file.

        Raises:
            ToolFailed: there is none, it is too long, or it is no plain file.
        """
        with self._parent(path) as (folder, name), _told(path):
            descriptor = os.open(name, _READ, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as file:
                _require_plain(os.fstat(descriptor), path)
                content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise ToolFailed(f"{path} is longer than the {max_bytes} bytes that may be read at once")
        return content

    def write(self, path: str, content: bytes) -> None:
        """Put a file in the place of what is there; folders on its way are made. Its mode stays what it was.

        Raises:
            ToolFailed: it cannot be written; what was there is there still.
        """
        with self._parent(path, make=True) as (folder, name), _told(path):
            mode = 0o600
            try:
                known = os.stat(name, dir_fd=folder, follow_symlinks=False)
                _require_plain(known, path)
                mode = stat.S_IMODE(known.st_mode) & 0o777
            except FileNotFoundError:
                pass
            _replace(folder, name, content, mode)

    def remove(self, path: str) -> None:
        """Remove a file; nothing is done where there is none.

        Raises:
            ToolFailed: it cannot be removed, or is no plain file.
        """
        with self._parent(path) as (folder, name), _told(path), suppress(FileNotFoundError):
            _require_plain(os.stat(name, dir_fd=folder, follow_symlinks=False), path)
            os.unlink(name, dir_fd=folder)

    def listed(self, path: str) -> list[str]:
        """The names in a folder, sorted; those of folders end in a slash.

        Raises:
            ToolFailed: there is no such folder.
        """
        with self._folder(path) as folder, _told(path or "the workspace"), os.scandir(folder) as entries:
            return sorted(f"{each.name}{'/' * each.is_dir(follow_symlinks=False)}" for each in entries)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder; raises ToolFailed where the path is none that may be asked for."""
        if path in {"", "."}:
            return True
        with self._parent(path) as (folder, name):
            try:
                return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            except OSError:
                return False

    def size(self) -> tuple[int, int]:
        """Bytes of all files, and how many files and folders there are; links count by themselves."""
        total, entries = 0, 0
        with self._folder("") as root:
            for _, folders, files, folder in os.fwalk(".", dir_fd=root, follow_symlinks=False):
                entries += len(folders) + len(files)
                for name in files:
                    try:
                        total += os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
                    except OSError:
                        continue
                if entries > MAX_ENTRIES:
                    break
        return total, entries

    def require_room(self, path: str, size: int, limit: int) -> None:
        """Return when a file of `size` bytes fits at `path` into the `limit` of all files.

        Raises:
            ToolFailed: it does not, or there are too many files. One that is no longer than what it replaces fits.
        """
        total, entries = self.size()
        if total + size <= limit and entries < MAX_ENTRIES:
            return
        before = self._size_of(path)
        if before is None and entries >= MAX_ENTRIES:
            raise ToolFailed(f"the workspace holds {entries} files and folders, as many as it may; remove some first")
        if size > (before or 0) and total + size - (before or 0) > limit:
            raise ToolFailed(f"the workspace holds {total} of {limit} bytes; shorten or remove something first")

    def is_full(self, limit: int) -> bool:
        """Whether there is no room for anything more in the `limit` of all files."""
        total, entries = self.size()
        return total > limit or entries >= MAX_ENTRIES

    def _size_of(self, path: str) -> int | None:
        """How long a file is; None where there is none."""
        try:
            with self._parent(path) as (folder, name):
                return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
        except (OSError, ToolFailed):
            return None

    @contextmanager
    def _folder(self, path: str, *, make: bool = False) -> Iterator[int]:
        names = parts_of(path) if path not in {"", "."} else ()
        with _told("the workspace"):
            folder = os.open(self.ensure(), _FOLDER)
        try:
            for name in names:
                with _told(path):
                    inner = _step(folder, name, make=make)
                    os.close(folder)
                    folder = inner
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        *folders, name = parts_of(path)
        with self._folder("/".join(folders), make=make) as folder:
            yield folder, name


def parts_of(path: str) -> tuple[str, ...]:
    """The names of a path within the workspace.

    Raises:
        ToolFailed: it is absolute, leads upwards, or is no path.
    """
    names = tuple(path.split("/"))
    if path.startswith("/") or any(name in {"", ".", ".."} for name in names):
        raise ToolFailed(f"{path[:80]!r} is no path in the workspace; write it as notes/today.md")
    if not path.isprintable() or len(path) > _MAX_PATH or len(names) > _MAX_DEPTH:
        raise ToolFailed("a path has printable characters, at most 1000 of them, and is at most 20 folders deep")
    return names


def _step(folder: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
    return os.open(name, _FOLDER, dir_fd=folder)


def _replace(folder: int, name: str, content: bytes, mode: int) -> None:
    unfinished = f"{_UNFINISHED}{os.urandom(8).hex()}"
    descriptor = os.open(unfinished, _WRITE, mode, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.replace(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(unfinished, dir_fd=folder)
        raise


def _require_plain(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ToolFailed(f"{path} is a folder" if stat.S_ISDIR(found.st_mode) else f"{path} is no plain file")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """An error of the system as one for the model."""
    try:
        yield
    except OSError as error:
        raise _failed(what, error) from None


def _failed(what: str, error: OSError) -> ToolFailed:
    if isinstance(error, FileNotFoundError):
        return ToolFailed(f"there is no {what}")
    if error.errno in _LINKS:
        return ToolFailed(f"{what} leads over a link or through something that is no folder; that is not followed")
    return ToolFailed(f"{what}: {error.strerror}")


_LINKS: Final = frozenset({20, 40})
"""ENOTDIR, and ELOOP."""
