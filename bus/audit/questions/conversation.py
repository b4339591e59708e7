"""Finding the events of one conversation, by its correlation or by something that belongs to it."""

from __future__ import annotations

from collections.abc import Callable

from bus.audit.read import Reader
from bus.audit.select import Selection, selected, task_of
from bus.audit.told import Told, told

OnRead = Callable[[int], None]


def _silent(_sequence: int) -> None:
    """Nobody watches."""


async def conversation(
    reader: Reader, name: str, within: Selection, on_read: OnRead = _silent
) -> tuple[str, list[Told]]:
    """The correlation and the events of a conversation; no events where nothing fits.

    `name` is a correlation, or the id of a task, a proposal or an event in it. Reads all that `within` leaves of
    the stream, once, and twice where `name` is no correlation; `on_read` is told each sequence.

    Raises:
        Unavailable, DeadlineExceeded: as `Reader.records`.
    """
    found: list[Told] = []
    correlation = ""
    async for record in selected(reader, within):
        on_read(record.sequence)
        for one in told(record):
            if one.event.correlationid == name:
                found.append(one)
            elif not correlation and _belongs(one, name):
                correlation = one.event.correlationid or ""
    if found or not correlation:
        return name, found
    return await conversation(reader, correlation, within, on_read)


def _belongs(one: Told, name: str) -> bool:
    event = one.event
    return name in {event.id, task_of(event), event.data.resource.partition("/")[2]} and bool(event.correlationid)
