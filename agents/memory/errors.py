"""Errors of memory, whether a model's tool or a handler meets them.

    ToolRefused
    ├── NotesFull       there is no room for a note beside the others: delete or shorten some
    └── InvalidNote     its name or its text is not of the form of a note

What cannot be read or stored is `Unavailable`, `Internal` or `StorageFull`.
"""

from __future__ import annotations

from agents.tools.errors import ToolRefused


class NotesFull(ToolRefused):
    """There are as many notes as there may be, or they are too long together."""


class InvalidNote(ToolRefused):
    """A note has a name of up to 64 of a-z, 0-9, _ - and . and a text of 1 to 4,000 characters."""
