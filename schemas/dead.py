"""What is said of a durable task that was given up: the header of its dead letter.

The body of a dead letter is the task's message, byte by byte; its headers stand in here, so that the
server does not act on them again.
"""

from __future__ import annotations

import msgspec

from schemas.errors import UNREADABLE, InvalidDocument

LOST = "WorkerLost"
"""The error of an attempt whose worker ended, or was stopped, without a word."""


class Attempt(msgspec.Struct, frozen=True):
    """One delivery that did not bring the task to its end: when that was known, and the class of the error."""

    number: int
    at: str = ""
    error: str = LOST


class DeadLetter(msgspec.Struct, frozen=True, rename="camel"):
    """`sequence` is the message's in stream TASKS; `is_whole` says whether the body had room for it."""

    task: str
    sequence: int
    reason: str
    left_at: str
    at: str
    attempts: tuple[Attempt, ...] = ()
    headers: dict[str, str] = {}
    is_whole: bool = True


def encode_letter(letter: DeadLetter) -> str:
    """The header's value."""
    return msgspec.json.encode(letter).decode()


def decode_letter(text: str) -> DeadLetter:
    """Read the header's value.

    Raises:
        InvalidDocument: it is none.
    """
    try:
        return msgspec.json.decode(text, type=DeadLetter)
    except UNREADABLE as error:
        raise InvalidDocument(f"the dead letter cannot be read: {error}") from None
