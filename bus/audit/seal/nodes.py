"""The hashes of a log's full subtrees on disk, one file a level: proofs are made from them, in constant memory."""

from __future__ import annotations

import os
from pathlib import Path

from bus.audit.tlog.merkle import HASH_BYTES, CompactRange

_MODE = 0o600
_MUCH_UNSAVED = 1024 * 1024
_AT_ONCE = 4096


def _file(level: int) -> str:
    return f"level-{level:02}"


class FileNodes:
    """The subtrees of the first `size` leaves, as `folder` has them; what lies behind them there is dropped.

    64 bytes a leaf. Appended hashes are on the disk after `save`.
    """

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._files: list[int] = []
        self._unsaved: list[bytearray] = []
        self._saved: list[int] = []
        self.size = size
        self.is_whole = True
        """Whether every hash of the first `size` leaves was there; when not, it holds none."""
        try:
            for level in range(size.bit_length()):
                self._open(level, (size >> level) * HASH_BYTES)
        except EOFError:
            self._clear()

    def append(self, completed: list[bytes]) -> None:
        """Take what `CompactRange.append` returned."""
        for level, one in enumerate(completed):
            if level == len(self._files):
                self._open(level, 0)
            self._unsaved[level] += one
        self.size += 1
        if len(self._unsaved[0]) > _MUCH_UNSAVED:
            self._write()

    def node(self, level: int, index: int) -> bytes:
        """As `merkle.Nodes`.

        Raises:
            IndexError: there is no such subtree.
        """
        if level >= len(self._files) or not 0 <= index < self.size >> level:
            raise IndexError(f"there is no full subtree {index} at level {level}")
        at = index * HASH_BYTES
        if at < self._saved[level]:
            return os.pread(self._files[level], HASH_BYTES, at)
        at -= self._saved[level]
        return bytes(self._unsaved[level][at : at + HASH_BYTES])

    def save(self) -> None:
        """Bring everything to the disk.

        Raises:
            OSError: the disk refuses.
        """
        self._write()
        for file in self._files:
            os.fdatasync(file)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            os.close(file)
        self._files.clear()

    def _write(self) -> None:
        for level, unsaved in enumerate(self._unsaved):
            if unsaved:
                os.pwrite(self._files[level], unsaved, self._saved[level])
                self._saved[level] += len(unsaved)
                unsaved.clear()

    def _open(self, level: int, wanted_bytes: int) -> None:
        file = os.open(self._folder / _file(level), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        self._files.append(file)
        self._saved.append(wanted_bytes)
        self._unsaved.append(bytearray())
        if os.fstat(file).st_size < wanted_bytes:
            raise EOFError
        os.truncate(file, wanted_bytes)

    def _clear(self) -> None:
        self.close()
        self._saved.clear()
        self._unsaved.clear()
        self.size, self.is_whole = 0, False


class RememberedLeaves:
    """The leaves' hashes as a sealer's `folder` has them: they name the message that was changed.

    Believe them only as far as a signed checkpoint has the root that they lead to.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _file(0)
        self._begin, self._hashes = -1, b""

    def hash(self, index: int) -> bytes:
        """Of leaf `index`; empty where it is not remembered. Fast in order."""
        begin = index - index % _AT_ONCE
        if begin != self._begin:
            self._begin, self._hashes = begin, self._read(begin)
        at = (index - begin) * HASH_BYTES
        return self._hashes[at : at + HASH_BYTES]

    def _read(self, begin: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(begin * HASH_BYTES)
                return file.read(_AT_ONCE * HASH_BYTES)
        except OSError:
            return b""

    def lead_to(self, size: int, root: bytes) -> bool:
        """Whether the first `size` of them have this root."""
        leaves = CompactRange()
        for index in range(size):
            leaf = self.hash(index)
            if len(leaf) != HASH_BYTES:
                return False
            leaves.append(leaf)
        return leaves.root() == root


def remembered_range(folder: Path, size: int) -> CompactRange | None:
    """The tree of the first `size` leaves, from a few hashes of a sealer's `folder`; None where they are not to be had.

    Believe it only when a signed checkpoint of that size has its root.
    """
    hashes, begin = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            hashes.append(_read_node(folder / _file(level), begin >> level))
            begin += 1 << level
    return CompactRange(size, tuple(hashes)) if all(hashes) else None


def _read_node(path: Path, index: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(index * HASH_BYTES)
            found = file.read(HASH_BYTES)
    except OSError:
        return b""
    return found if len(found) == HASH_BYTES else b""
