"""Checkpoints: the size and the root of a log, as a signed note.

    <origin>
    <size>
    <base64 of the root>

    — <origin> <signature>
    — <witness> <cosignature>

Source: C2SP tlog-checkpoint v1.0.0.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from bus.audit.tlog.errors import Malformed, NotVerified
from bus.audit.tlog.merkle import HASH_BYTES
from bus.audit.tlog.note import Key, Note, decoded

NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
"""A size or an index: ASCII decimal without leading zeroes."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself. Extension lines are refused: nobody can audit them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text.

        Raises:
            Malformed: it is not a checkpoint's.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise Malformed("a checkpoint's text is three lines: origin, size, root")
        origin, size, root = lines[0], lines[1], decoded(lines[2])
        if not NUMBER.fullmatch(size) or len(root) != HASH_BYTES:
            raise Malformed("a checkpoint's size is a plain number, its root the base64 of a hash")
        return cls(origin, int(size), root)


def open_checkpoint(data: bytes, log: Key) -> tuple[Checkpoint, Note]:
    """Read a checkpoint and check that this log signed it.

    Raises:
        Malformed: it is none. NotVerified: it is of another log, or not signed by this one.
    """
    note = Note.parse(data)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != log.name:
        raise NotVerified(f"the checkpoint is of {checkpoint.origin[:80]!r}, not of {log.name}")
    if log not in note.verified([log]):
        raise NotVerified(f"the checkpoint is not signed by {log.name}")
    return checkpoint, note
