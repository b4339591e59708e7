"""Notes that outlast conversations: short texts by name, of one caller or of all, as the agent's file says. No I/O.

A note says who had it written, when and in which conversation: what a model reads in it is what somebody once said,
not an instruction.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agents.remembering import Note
from agents.tools.errors import ToolFailed
from schemas.errors import Unavailable

from .errors import NotesFull

VERSION: Final = 1
MOST_NOTES: Final = 64
MOST_CHARS: Final = 4_000
MAX_BYTES: Final = 256_000
"""All notes of one owner, encoded."""


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """All notes of one owner, by name."""

    version: int = VERSION
    notes: dict[str, Note] = {}

    def written(self, name: str, note: Note) -> Notes:
        """With this note, in the place of one of the same name.

        Raises:
            NotesFull: there are too many, or they are too long together.
        """
        notes = msgspec.structs.replace(self, notes=self.notes | {name: note})
        if len(notes.notes) > MOST_NOTES:
            raise NotesFull(f"there are {MOST_NOTES} notes already; delete one, or write into one that there is")
        if len(encode_notes(notes)) > MAX_BYTES:
            raise NotesFull("the notes are too long together; shorten or delete some")
        return notes

    def without(self, name: str) -> Notes:
        """Without the note of this name.

        Raises:
            ToolFailed: there is none.
        """
        self.require(name)
        return self.lacking(name)

    def lacking(self, name: str) -> Notes:
        """Without the note of this name, if there is one."""
        return msgspec.structs.replace(self, notes={key: note for key, note in self.notes.items() if key != name})

    def require(self, name: str) -> Note:
        """The note of this name.

        Raises:
            ToolFailed: there is none; says which there are.
        """
        if name not in self.notes:
            raise ToolFailed(f"there is no note {name!r}; there are: {', '.join(sorted(self.notes)) or 'none'}")
        return self.notes[name]


class _Head(msgspec.Struct):
    version: int = 0


_NOTES = msgspec.json.Decoder(Notes)
_HEAD = msgspec.json.Decoder(_Head)


def encode_notes(notes: Notes) -> bytes:
    """The bytes that are stored."""
    return msgspec.json.encode(notes)


def decode_notes(value: bytes) -> Notes:
    """The stored notes; none where nothing is stored.

    Raises:
        Unavailable: a newer version of agentbus wrote them, or they cannot be read.
    """
    if not value:
        return Notes()
    try:
        if _HEAD.decode(value).version <= VERSION:
            return _NOTES.decode(value)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the stored notes cannot be read: {error}") from None
    raise Unavailable("a newer agentbus wrote the notes; upgrade this instance")
