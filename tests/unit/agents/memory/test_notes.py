"""Notes: bounded, with where they come from, and unreadable where a newer version wrote them."""

from __future__ import annotations

import msgspec
import pytest

from agents.memory.note_tool import NoteCall
from agents.memory.notes import MAX_BYTES, MOST_NOTES, VERSION, Notes, decode_notes, encode_notes
from agents.remembering import Note
from agents.tools.errors import ToolFailed, ToolRefused
from schemas.documents import parse_value
from schemas.errors import InvalidDocument, Unavailable


def note(text: str) -> Note:
    """A note of ops."""
    return Note(text=text, written_at="2026-01-02T03:04:05.678Z", caller="ops", context_id="c")


def test_notes_are_written_read_and_deleted() -> None:
    """One of the same name takes the place of the one before; what is not there is named with what is."""
    notes = Notes().written("a", note("one")).written("b", note("two")).written("a", note("three"))
    assert decode_notes(encode_notes(notes)) == notes
    assert notes.require("a").text == "three"
    assert sorted(notes.without("a").notes) == ["b"]
    with pytest.raises(ToolFailed, match="there is no note 'c'; there are: a, b"):
        notes.without("c")
    assert decode_notes(b"") == Notes()


def test_notes_are_bounded() -> None:
    """In number and together; one that is there may still change."""
    notes = Notes()
    for number in range(MOST_NOTES):
        notes = notes.written(str(number), note("x"))
    with pytest.raises(ToolRefused, match="64 notes already"):
        notes.written("more", note("x"))
    assert notes.written("1", note("y")).require("1").text == "y"
    with pytest.raises(ToolRefused, match="too long together"):
        Notes().written("long", note("x" * MAX_BYTES))


@pytest.mark.parametrize("value", [msgspec.json.encode({"version": VERSION + 1}), b"no"])
def test_what_cannot_be_read_is_not_written_over(value: bytes) -> None:
    """The caller may try again at an instance that can."""
    with pytest.raises(Unavailable):
        decode_notes(value)


@pytest.mark.parametrize(
    "call",
    [
        {"do": "write", "name": "a"},
        {"do": "write", "text": "t"},
        {"do": "read"},
        {"do": "read", "name": "a", "text": "t"},
        {"do": "write", "name": "../a", "text": "t"},
        {"do": "write", "name": "a", "text": "x" * 4_001},
        {"do": "burn", "name": "a"},
    ],
)
def test_a_call_has_what_it_needs(call: dict[str, str]) -> None:
    """And nothing else."""
    with pytest.raises(InvalidDocument):
        parse_value(call, NoteCall, "note")
