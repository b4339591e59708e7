"""How large a stored conversation may be: it is one message of the server, and a fleet keeps many. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from agents.llm import AssistantTurn, ToolTurn, Turn

from .compaction import blocks
from .session import Kept, Session, encode
from .summary import cut

MAX_SESSION_BYTES: Final = 900_000
"""Encoded. Below the server's limit of a message (1 MiB), and below a megabyte."""
MAX_ARCHIVE_BYTES: Final = 400_000
_FRAME_BYTES: Final = 64 * 1024
"""Kept free for what is no turn: names, the summary."""
MAX_SUMMARY_CHARS: Final = 8_000
_LONGEST_TEXT: Final = 128 * 1024


def bounded(session: Session, keep: int) -> Session:
    """The same conversation, small enough to be stored.

    First the oldest turns of the archive go, then the oldest that a model is told, but for the newest `keep`; what is
    then too long has its texts cut in the middle.
    """
    room = MAX_SESSION_BYTES - _FRAME_BYTES
    turns, lost = _without_oldest(session.turns, room, keep)
    turns = _cut_to(turns, room)
    archive_room = min(MAX_ARCHIVE_BYTES, room - sum(map(_size, turns)))
    archived, lost_of_archive = _without_oldest(session.archived, archive_room, 0)
    if lost:  # what comes after a gap would look as if it stood right before
        archived, lost_of_archive = (), len(session.archived)
    return msgspec.structs.replace(
        session,
        turns=turns,
        archived=archived,
        forgotten=session.forgotten + lost + lost_of_archive,
        summary=cut(session.summary, MAX_SUMMARY_CHARS),
    )


def _without_oldest(kept: Sequence[Kept], room: int, keep: int) -> tuple[tuple[Kept, ...], int]:
    """The newest turns that fit into `room` bytes, at least `keep` of them, in whole blocks; how many went."""
    size, begin = 0, len(kept)
    for block in reversed(list(blocks([one.turn for one in kept]))):
        size += sum(_size(kept[index]) for index in block)
        if size > room and len(kept) - begin >= keep:
            break
        begin = block.start
    return tuple(kept[begin:]), begin


def _cut_to(kept: tuple[Kept, ...], room: int) -> tuple[Kept, ...]:
    longest = _LONGEST_TEXT
    while sum(map(_size, kept)) > room:
        kept = tuple(msgspec.structs.replace(one, turn=_shortened(one.turn, longest)) for one in kept)
        longest //= 2
    return kept


def _shortened(turn: Turn, most: int) -> Turn:
    match turn:
        case AssistantTurn():
            calls = tuple(
                call if len(msgspec.json.encode(call.input)) <= most else msgspec.structs.replace(call, input={})
                for call in turn.tool_calls
            )
            return msgspec.structs.replace(turn, text=cut(turn.text, most), tool_calls=calls)
        case ToolTurn():
            results = tuple(msgspec.structs.replace(result, text=cut(result.text, most)) for result in turn.results)
            return msgspec.structs.replace(turn, results=results)
        case _:
            return msgspec.structs.replace(turn, text=cut(turn.text, most))


def _size(kept: Kept) -> int:
    return len(msgspec.json.encode(kept)) + 1


def size_of(session: Session) -> int:
    """The bytes that are stored."""
    return len(encode(session))
