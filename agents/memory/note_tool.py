"""The tool by which a model keeps notes beyond the conversation."""

from __future__ import annotations

import re
import time
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from agents.context import Context
from agents.llm import Tool
from agents.remembering import Note
from agents.tools.row import Row
from bus.sessions import SessionStore, notes_key
from schemas.documents import Document
from schemas.ids import rfc3339

from .errors import InvalidNote
from .notes import MOST_CHARS, Notes, decode_notes, encode_notes

NAME: Final = "note"
_DESCRIPTION: Final = (
    "Keep short notes that outlast this conversation, by name{whose}. write puts text under name, in the place of what "
    "was there; read and delete take a name; list gives all names."
)
_WHOSE: Final = {"caller": ", for this caller alone", "shared": "; all callers of this agent share them"}
_NAME: Final = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]


class NoteCall(Document):
    """What to do with which note."""

    do: Literal["write", "read", "delete", "list"]
    name: Name | None = Field(None, description="up to 64 of a-z, 0-9, _ - and .; for list there is none")
    text: str = Field("", max_length=MOST_CHARS, description="for write: what to keep")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.do != "list" and self.name is None:
            raise ValueError(f"{self.do} needs a name")
        if (self.do == "write") != bool(self.text):
            raise ValueError("write needs a text" if self.do == "write" else f"{self.do} takes no text")
        return self


class NoteBook:
    """The notes of one agent in its bucket: each caller's own, or one set for all."""

    def __init__(self, store: SessionStore, whose: Literal["caller", "shared"]) -> None:
        self._store = store
        self.whose: Final = whose

    def row(self) -> Row:
        """The tool."""
        description = _DESCRIPTION.format(whose=_WHOSE[self.whose])
        return Row(Tool(name=NAME, description=description, input=NoteCall), self._run, has_effects=True)

    async def of(self, caller: str) -> Notes:
        """The notes that `caller` has a part in. Raises as `SessionStore.get` and `decode_notes`."""
        return decode_notes((await self._store.get(self._key(caller))).value)

    async def write(self, name: str, text: str, context: Context) -> None:
        """Keep `text` under `name`, in the place of what was there.

        Raises:
            InvalidNote, NotesFull: it cannot be one of the notes. Else as `SessionStore.change`.
        """
        if not re.fullmatch(_NAME, name) or not 0 < len(text) <= MOST_CHARS:
            raise InvalidNote(
                f"a note has a name of up to 64 of a-z, 0-9, _ - and . and a text of 1 to {MOST_CHARS} characters"
            )
        note = Note(text=text, written_at=rfc3339(time.time_ns()), caller=context.caller, context_id=context.context_id)
        key = self._key(context.caller)
        await self._store.change(key, lambda found: encode_notes(decode_notes(found.value).written(name, note)))

    async def delete(self, name: str, context: Context) -> bool:
        """Forget the note; whether there was one. Raises as `SessionStore.change`."""
        if name not in (await self.of(context.caller)).notes:
            return False
        key = self._key(context.caller)
        await self._store.change(key, lambda found: encode_notes(decode_notes(found.value).lacking(name)))
        return True

    def _key(self, caller: str) -> str:
        return notes_key(caller if self.whose == "caller" else "")

    async def _run(self, call: NoteCall, context: Context) -> str:
        name = call.name or ""
        if call.do == "list":
            return _listed(await self.of(context.caller))
        if call.do == "read":
            return _shown(name, (await self.of(context.caller)).require(name))
        if call.do == "delete":
            key = self._key(context.caller)
            await self._store.change(key, lambda found: encode_notes(decode_notes(found.value).without(name)))
            return f"Note {name} is deleted."
        await self.write(name, call.text, context)
        return f"Note {name} is kept."


def _listed(notes: Notes) -> str:
    lines = [f"{name}: {len(note.text)} characters, {note.written_at}" for name, note in sorted(notes.notes.items())]
    return "\n".join(lines) or "There are no notes."


def _shown(name: str, note: Note) -> str:
    return f"[note {name}, written {note.written_at} in a conversation with {note.caller}]\n{note.text}"
