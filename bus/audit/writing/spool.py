"""The file that events wait in until the stream has them.

A record is `<body length u32><crc32 of body u32><body>`, little-endian; the body is
`<counter u64><time_ns u64><subject length u16><subject><event bytes>`.

Guarantees: an appended record survives the end of the process at any instruction (it is in the
kernel's cache when `append` returns); after `sync` it survives a power cut. Records come back in
order, and reading stops at the first that is torn or damaged. Not guaranteed: that a record which was
cut stays away after a crash; the reader compares with the stream before it sends anything.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from bus.errors import AuditFenced, AuditUnavailable

_log = structlog.get_logger("audit")
_FRAME = struct.Struct("<II")
_BODY = struct.Struct("<QQH")
_CLOSED = -1
_COMPACT_BYTES = 4 * 1024 * 1024
"""The file holds at most so much, or as much as is waiting, of what was cut."""


class Entry(NamedTuple):
    """One event on its way: the producer's `counter`, when it was emitted, and its exact bytes."""

    counter: int
    time_ns: int
    subject: str
    digest: str
    data: bytes


class Spool:
    """An open spool. One process at a time; use it from one thread."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """Make or open the file, mode 0600.

        Raises:
            AuditFenced: another process has it open.
            AuditUnavailable: it cannot be opened.
        """
        self.path = path
        self._limit = limit_bytes
        self._sizes: deque[tuple[int, int]] = deque()
        self._live = 0
        self._end = 0
        self._compact_at = _COMPACT_BYTES
        self._is_broken = False
        self.damaged: Path | None = None
        """Where `load` kept what it could not read."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _take(self._lock, path)
            self._fd = _open(path)
        except OSError as error:
            with contextlib.suppress(AttributeError):
                os.close(self._lock)
            raise AuditUnavailable(f"the audit spool {path} cannot be opened: {error}") from None

    def load(self) -> list[Entry]:
        """Every whole record of an earlier process, in order; what follows the last good one goes into another file.

        Raises:
            OSError: that file cannot be written; nothing was changed.
        """
        data = self.path.read_bytes()
        entries, offset = [], 0
        while (entry := _parse(data, offset)) is not None:
            size = _FRAME.size + _FRAME.unpack_from(data, offset)[0]
            self._sizes.append((entry.counter, size))
            entries.append(entry)
            offset += size
        if offset < len(data):
            self._set_rest_aside(data[offset:])
            os.ftruncate(self._fd, offset)
        self._live = self._end = offset
        return entries

    @property
    def fill(self) -> float:
        """How full it is, 0 to 1."""
        return self._live / self._limit

    def append(self, entries: Sequence[Entry]) -> None:
        """Keep all of `entries`, in one write.

        Raises:
            AuditUnavailable: the spool is full or the disk refuses; nothing was kept.
        """
        records = [_format(entry) for entry in entries]
        written = b"".join(records) if len(records) > 1 else records[0]
        if self._live + len(written) > self._limit:
            raise AuditUnavailable(
                f"the audit spool {self.path} is full ({self._limit} bytes); it empties when the server is back"
            )
        if self._is_broken:
            raise AuditUnavailable(f"the audit spool {self.path} could not be repaired after a disk error; restart")
        try:
            count = os.write(self._fd, written)
        except OSError as error:
            self._undo()  # a disk may keep what it says that it refused, and two events would have one number
            raise AuditUnavailable(f"the audit spool {self.path} cannot be written: {error}") from None
        if count != len(written):
            self._undo()
            raise AuditUnavailable(f"the audit spool {self.path} cannot be written: the disk is full")
        self._end += count
        self._live += count
        for entry, record in zip(entries, records, strict=True):
            self._sizes.append((entry.counter, len(record)))

    def cut(self, through: int) -> None:
        """Forget the records up to the counter `through`."""
        while self._sizes and self._sizes[0][0] <= through:
            self._live -= self._sizes.popleft()[1]
        if not self._sizes:
            os.ftruncate(self._fd, 0)
            self._end = 0
        elif self._end - self._live > max(self._compact_at, self._live):
            self._compact()

    def set_aside(self, kept: Path, entries: Sequence[Entry]) -> None:
        """Keep everything in the file `kept`, which nothing reads again, and hold `entries` instead, which say so.

        Both or neither happens: a process that ends meanwhile leaves the spool with what it held, or with `entries`.

        Raises:
            AuditUnavailable: the folder cannot take it; the spool is as it was.
        """
        records = [_format(entry) for entry in entries]
        try:
            descriptor = _written(self.path.with_suffix(".new"), b"".join(records))
            try:
                os.link(self.path, kept)
                os.rename(self.path.with_suffix(".new"), self.path)  # noqa: PTH104  beside os.open: one style in this file
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise self._not_set_aside(error) from None
        os.close(self._fd)
        self._fd = descriptor
        self._sizes = deque((entry.counter, len(record)) for entry, record in zip(entries, records, strict=True))
        self._live = self._end = sum(map(len, records))

    def _not_set_aside(self, error: OSError) -> AuditUnavailable:
        return AuditUnavailable(
            f"the audit spool {self.path} holds events that the stream contradicts, and they cannot be put into another "
            f"file: {error}; nothing was changed. See that there is room, that this user may write {self.path.parent}, "
            "and that nothing of another kind stands there under that name; then start again"
        )

    def _set_rest_aside(self, rest: bytes) -> None:
        if not rest.strip(b"\0"):
            return  # a file that had grown before the power was cut, but not yet been filled
        self.damaged = self.path.with_suffix(f".damaged-{hashlib.sha256(rest).hexdigest()[:16]}")
        descriptor = os.open(self.damaged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.write(descriptor, rest) != len(rest):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.damaged))
        finally:
            os.close(descriptor)

    def duplicate(self) -> int:
        """A descriptor of the file for `sync` in another thread, which closes it."""
        return os.dup(self._fd)

    def close(self) -> None:
        """Let another process have it. Closed again it does nothing: the numbers may be somebody else's files by then."""
        for descriptor in (self._fd, self._lock):
            if descriptor != _CLOSED:
                os.close(descriptor)
        self._fd = self._lock = _CLOSED

    def _undo(self) -> None:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            self._is_broken = True  # a torn record in the middle would hide every later one

    def _compact(self) -> None:
        temporary = self.path.with_suffix(".new")
        try:
            # what was durable in the old file is so in the new one
            descriptor = _written(temporary, self.path.read_bytes()[self._end - self._live : self._end])
        except OSError as error:
            self._compact_at = self._end - self._live + _COMPACT_BYTES  # the file is still right; tried again later
            _log.warning("audit.spool_not_compacted", path=str(self.path), reason=str(error))
            return
        os.rename(temporary, self.path)  # noqa: PTH104
        os.close(self._fd)
        self._fd, self._end, self._compact_at = descriptor, self._live, _COMPACT_BYTES


def sync(descriptor: int) -> None:
    """Make what was appended survive a power cut, and close `descriptor`. Blocks: call it in a thread."""
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _written(path: Path, data: bytes) -> int:
    """A descriptor of a new file that holds `data` durably; where the disk refuses there is no file."""
    path.unlink(missing_ok=True)
    descriptor = _open(path)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fdatasync(descriptor)
    except OSError:
        os.close(descriptor)
        path.unlink()
        raise
    return descriptor


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AuditFenced(f"another process writes audit events through {path}; stop it first") from None


def _format(entry: Entry) -> bytes:
    subject = entry.subject.encode()
    body = b"%b%b%b" % (_BODY.pack(entry.counter, entry.time_ns, len(subject)), subject, entry.data)
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def _parse(data: bytes, offset: int) -> Entry | None:
    start = offset + _FRAME.size
    if start > len(data):
        return None
    length, checksum = _FRAME.unpack_from(data, offset)
    body = data[start : start + length]
    if length < _BODY.size or len(body) < length or zlib.crc32(body) != checksum:
        return None
    counter, time_ns, subject_bytes = _BODY.unpack_from(body)
    rest = body[_BODY.size :]
    event = rest[subject_bytes:]
    subject = rest[:subject_bytes].decode(errors="replace")
    return Entry(counter, time_ns, subject, hashlib.sha256(event).hexdigest(), event)
