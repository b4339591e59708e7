"""What a producer last knew to be on the stream, and where a new process has to go on.

`head.json` lies beside the spool. It is not signed: it helps the producer's own host to notice that
the stream lost its tail or was rebuilt; it proves nothing to others.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from bus.audit.writing.spool import Entry
from schemas.audit import GENESIS, decode_event

_log = structlog.get_logger("audit")
FILE: Final = "head.json"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The last confirmed event of one slot: `slot` is its subjects' start (`audit.agent.greeter.0.`)."""

    slot: str
    counter: int
    sha256: str
    stream_sequence: int


def read_head(directory: Path) -> Head | None:
    """The head in `directory`; none when there is none or it cannot be read."""
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Head)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("audit.head_unreadable", path=str(path), error=str(error))
        return None


def write_head(directory: Path, head: Head) -> None:
    """Replace the head; a reader sees the old one or the new one.

    Raises:
        OSError: the disk refuses; the old one stays.
    """
    temporary = directory / f"{FILE}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    data = msgspec.json.encode(head)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
    finally:
        os.close(descriptor)
    temporary.replace(directory / FILE)


class Start(NamedTuple):
    """Where to go on: the chain's last event, the stream's last sequence on the slot, and what is yet to be sent."""

    counter: int
    digest: str
    fence: int
    pending: list[Entry]
    is_contradicted: bool
    """The stream holds other events where those of the spool belong: the spool is to be set aside."""


def reconcile(lasts: list[Head], local: Head | None, spooled: list[Entry]) -> Start:
    """Decide from the last events per domain (`lasts`), `head.json` and the spool. Pure.

    Spooled events are never sent twice: those that the stream has are left out, and where the
    stream contradicts them none is sent. A stream that lost its tail is not followed back: counter
    and chain go on from what this host knows, so that the gap stays visible.
    """
    fence = max((head.stream_sequence for head in lasts), default=0)
    known = [head for head in (*lasts, *((local,) if local else ())) if head.counter]
    best = max(known, key=lambda head: (head.counter, head is local), default=None)
    counter, digest = (best.counter, best.sha256) if best else (0, GENESIS)
    pending = _unsent(lasts, local, spooled)
    if pending is None:
        return Start(counter, digest, fence, [], is_contradicted=True)
    if pending:
        counter, digest = pending[-1].counter, pending[-1].digest
    return Start(counter, digest, fence, pending, is_contradicted=False)


def _unsent(lasts: list[Head], local: Head | None, spooled: list[Entry]) -> list[Entry] | None:
    """The spooled events that the stream does not have; None when it holds others in their place.

    `lasts` is a few events out of many: where the stream went past the spool, nothing shows whether
    the spooled events were stored, and that counts as a contradiction too.
    """
    confirmed = local.counter if local else 0
    by_counter = {entry.counter: entry.digest for entry in spooled if entry.counter > confirmed}
    common = [head for head in lasts if head.counter in by_counter]
    if any(by_counter[head.counter] != head.sha256 for head in common):
        return None
    stored = max((head.counter for head in common), default=confirmed)
    unsent = [entry for entry in spooled if entry.counter > stored]
    if not unsent:
        return []
    if any(head.counter > unsent[-1].counter for head in lasts):
        return None
    follows = stored == unsent[0].counter - 1 and bool(local or common)
    before = {head.sha256 for head in lasts if head.counter == unsent[0].counter - 1}
    return None if before and not follows and decode_event(unsent[0].data).prev not in before else unsent
