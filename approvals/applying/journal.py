"""What the applier was about to do: one line before each step, on disk before the step is taken."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from schemas.errors import UNREADABLE


class Entry(msgspec.Struct, frozen=True):
    """`step` is about to be taken for `proposal`; `previous` is the tree that was live before it."""

    proposal: str
    step: str
    agent: str
    previous: str
    tree: str
    reason: str = ""
    """Why the step is taken, where that is not the approval."""


class Journal:
    """An append-only file. A torn last line (a crash while writing) is no intent: its step never began."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def intend(self, entry: Entry) -> None:
        """Record, and return when it is on disk."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # the newline in front ends a line that a crash has torn
            os.write(descriptor, b"\n" + msgspec.json.encode(entry) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def of(self, proposal: str) -> list[Entry]:
        """What was intended for a proposal, in order."""
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_bytes().splitlines():
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except UNREADABLE:
                continue
            if entry.proposal == proposal:
                found.append(entry)
        return found
