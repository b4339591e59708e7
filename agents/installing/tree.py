"""Files under a root folder, written so that no link inside it leads anything out of it.

Every folder on the way is opened from the one above it. Under a root that is not `/` a link among them is refused;
on the machine itself the administrator's links are followed (`/opt` may be one). A file is written beside its place
and renamed, so a link that stands there is replaced and never written through.

Source: openat(2), O_NOFOLLOW.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import NotPossible, UnsafePlace

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Tree:
    """A root; paths are absolute ones inside it, such as `/etc/systemd/system/agentbus.target`."""

    root: Path

    @property
    def is_machine(self) -> bool:
        """Whether it is this machine's own root."""
        return self.root == Path("/")

    def at(self, path: str) -> Path:
        """Where a path of the tree is on this machine. Nothing on the way is checked: see `check`."""
        return self.root / path.lstrip("/")

    def check(self, path: str) -> None:
        """Refuse a path with a link among its folders, the last one included.

        Raises:
            UnsafePlace: there is one.
        """
        with contextlib.suppress(FileNotFoundError), self._opened(PurePosixPath(path)):
            pass

    def require_roots(self, *paths: str) -> None:
        """Refuse a folder, where it is there, that somebody but root may change.

        Raises:
            UnsafePlace: there is one.
        """
        for path in paths:
            with contextlib.suppress(FileNotFoundError), self._opened(PurePosixPath(path)) as folder:
                found = os.fstat(folder)
                if found.st_uid != 0 or found.st_mode & 0o022:
                    raise UnsafePlace(
                        f"{path} can be changed by others than root: chown root: {path}; chmod 755 {path}"
                    )

    def read(self, path: str) -> bytes | None:
        """A file's content; None where there is no plain file."""
        try:
            with self._parent(path) as folder:
                descriptor = os.open(
                    _name(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
                )
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None

    def digest(self, path: str) -> str:
        """The SHA-256 of a plain file; empty where there is none."""
        content = self.read(path)
        return "" if content is None else hashlib.sha256(content).hexdigest()

    def is_there(self, path: str) -> bool:
        """Whether anything has that name: a file, a folder, also a link that leads nowhere."""
        try:
            with self._parent(path) as folder:
                os.lstat(_name(path), dir_fd=folder)
        except FileNotFoundError:
            return False
        return True

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file in its place, on the disk, owned by root where root does it; folders above it are made."""
        self.make_folder(str(PurePosixPath(path).parent))
        with self._parent(path) as folder:
            fresh = f".{_name(path)}.new"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(fresh, flags, 0o600, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if os.geteuid() == 0:
                    os.fchown(descriptor, 0, 0)
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.rename(fresh, _name(path), src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def link(self, path: str, target: str) -> None:
        """Have a symbolic link at `path`, in one step: whoever follows it sees the old target or the new one."""
        self.make_folder(str(PurePosixPath(path).parent))
        with self._parent(path) as folder:
            fresh = f".{_name(path)}.new"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=folder)
            os.symlink(target, fresh, dir_fd=folder)
            os.rename(fresh, _name(path), src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def link_target(self, path: str) -> str:
        """Where a symbolic link leads; empty where there is none."""
        try:
            with self._parent(path) as folder:
                return os.readlink(_name(path), dir_fd=folder)
        except OSError:
            return ""

    def remove(self, path: str) -> None:
        """Remove a file or a link, if it is there."""
        with contextlib.suppress(FileNotFoundError), self._parent(path) as folder:
            os.unlink(_name(path), dir_fd=folder)

    def make_folder(self, path: str) -> None:
        """Have a folder, 0755; those that are there stay as they are."""
        with self._opened(PurePosixPath(path), is_made=True):
            pass

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While it lasts, nobody else installs here; nothing is written for that.

        Raises:
            NotPossible: somebody does.
        """
        root = os.open(self.root, _FOLDER)
        try:
            try:
                fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NotPossible(f"another installation into {self.root} is at work: wait until it is done") from None
            yield
        finally:
            os.close(root)

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[int]:
        with self._opened(PurePosixPath(path).parent) as folder:
            yield folder

    @contextlib.contextmanager
    def _opened(self, path: PurePosixPath, *, is_made: bool = False) -> Iterator[int]:
        """The folder's descriptor."""
        folder = os.open(self.root, _FOLDER)
        try:
            for name in path.parts[1:]:
                below = self._below(folder, name, path, is_made=is_made)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _below(self, folder: int, name: str, path: PurePosixPath, *, is_made: bool) -> int:
        if is_made:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
                os.chmod(name, 0o755, dir_fd=folder)  # noqa: S103  a folder that everybody passes; the umask does not decide
        try:
            return os.open(name, _FOLDER | (0 if self.is_machine else os.O_NOFOLLOW), dir_fd=folder)
        except NotADirectoryError:
            raise UnsafePlace(
                f"{name} in {path} under {self.root} is no folder, or a link: put a folder there"
            ) from None
        except OSError:
            if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
                raise UnsafePlace(f"{name} in {path} under {self.root} is a link: put a folder there") from None
            raise


def _name(path: str) -> str:
    return PurePosixPath(path).name
