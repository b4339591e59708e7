"""Hashes that wait for the checkpoint that covers them: first in, first out, in constant memory."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import Final

from bus.audit.tlog.merkle import HASH_BYTES

IN_MEMORY: Final = 1024 * 1024
"""Bytes; more of them lie in a file without a name."""
_AT_ONCE = 64 * 1024


class LeafQueue:
    """A sealer may be away for a million messages: their hashes do not stay in memory."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it lives as long as the queue
        self._begin = self._end = 0
        self._fresh = bytearray()
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return (self._end - self._begin + len(self._fresh)) // HASH_BYTES

    def append(self, leaf: bytes) -> None:
        """Add one at the end.

        Raises:
            OSError: there is no room for the file.
        """
        self._fresh += leaf
        if len(self._fresh) >= _AT_ONCE:
            self._flush()

    def take(self, count: int) -> Iterator[bytes]:
        """Remove the first `count`, which there must be; exhaust it before anything else is done."""
        self._flush()
        left = count * HASH_BYTES
        while left:
            self._file.seek(self._begin)
            some = self._file.read(min(left, _AT_ONCE))
            self._begin += len(some)
            left -= len(some)
            for at in range(0, len(some), HASH_BYTES):
                yield some[at : at + HASH_BYTES]
        self._forget()

    def _flush(self) -> None:
        self._file.seek(self._end)
        self._file.write(self._fresh)
        self._end += len(self._fresh)
        self._fresh.clear()

    def _forget(self) -> None:
        """Give back the room of what was taken, when that is most of it."""
        if self._begin < IN_MEMORY or self._begin * 2 < self._end:
            return
        size = self._end - self._begin
        for at in range(0, size, _AT_ONCE):
            self._file.seek(self._begin + at)
            some = self._file.read(min(_AT_ONCE, size - at))
            self._file.seek(at)
            self._file.write(some)
        self._file.truncate(size)
        self._begin, self._end = 0, size
