"""How events lie in the stream's messages: one each, or, from a producer with much to say, many in one.

A message costs the server and the producer several times what an event in it costs, so a batch of many events is
stored as a few messages: each a JSON array of consecutive events of one domain. An event's bytes are the same either
way; digests and the chain are over them.

Source: CloudEvents 1.0, JSON batch format.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from bus.audit.writing.spool import Entry
from schemas.audit import BATCH_MEDIA_TYPE, CLOUDEVENTS_MEDIA_TYPE, digest

PACK_FROM: Final = 32
"""Events in a batch: fewer are a message each, which is easier to read with plain tools."""
_FULL_BYTES = 56 * 1024
"""Of the 64 KiB that a message may have; headers are in them."""


class Message(NamedTuple):
    """What is stored as one message: so many `events`; `digest` is of its payload."""

    subject: str
    payload: bytes
    digest: str
    media_type: str
    events: int


def packed(batch: Sequence[Entry]) -> list[Message]:
    """The messages that a batch is stored as, in order."""
    if len(batch) < PACK_FROM:
        return [_message([entry]) for entry in batch]
    return [_message(entries) for _, run in itertools.groupby(batch, _subject) for entries in _portions(run)]


def unpacked(payload: bytes) -> Sequence[bytes]:
    """The exact bytes of each event in a message; what `packed` does not write is taken as one event, and is none."""
    if not payload.startswith(b"["):
        return (payload,)
    try:
        events = [bytes(event) for event in _array.decode(payload)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return (payload,)
    return events if events and _joined(events) == payload else (payload,)


def _message(entries: Sequence[Entry]) -> Message:
    first = entries[0]
    if len(entries) == 1:
        return Message(first.subject, first.data, first.digest, CLOUDEVENTS_MEDIA_TYPE, 1)
    payload = _joined([entry.data for entry in entries])
    return Message(first.subject, payload, digest(payload), BATCH_MEDIA_TYPE, len(entries))


def _joined(events: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(events)


def _portions(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    portion: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry.data)
        if portion and size > _FULL_BYTES:
            yield portion
            portion, size = [], len(entry.data)
        portion.append(entry)
    yield portion


def _subject(entry: Entry) -> str:
    return entry.subject


_array = msgspec.json.Decoder(list[msgspec.Raw])
