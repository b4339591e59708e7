"""Producers that have stopped telling: who neither said that it ended nor anything else for too long.

A producer that has nothing to tell says so each hour (`process.alive`). So the last event of a slot is never older
than that, unless its process ended in order, was killed, or somebody keeps its events from the stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bus.audit.emit import ALIVE_S
from bus.audit.questions.orphans import Orphan
from bus.audit.told import Told

_SILENT = timedelta(seconds=2 * ALIVE_S)


def is_silent(stored: str, now: datetime) -> bool:
    """Whether a process whose last event was `stored` then, by the server's clock, has missed two of its hours."""
    try:
        return now - datetime.fromisoformat(stored) > _SILENT
    except ValueError:
        return False


@dataclass(slots=True)
class Silences:
    """Feed it every event in the stream's order. Memory grows with the number of slots."""

    _last: dict[str, Told] = field(default_factory=dict)

    def add(self, one: Told) -> None:
        """Take an event."""
        self._last[one.process] = one

    def found(self, now: datetime) -> Iterator[Orphan]:
        """Whose last event, by the server's clock, is older than two of its hours, and does not say that it ended."""
        for one in sorted(self._last.values(), key=lambda last: last.sequence):
            event = one.event
            if event.short_type != "process.stopped" and is_silent(one.stored, now):
                yield Orphan(
                    what=f"process {one.process} is silent: it neither ended in order nor says that it is there",
                    writer=one.writer, actor=event.data.actor, resource=event.data.resource, time=event.time,
                    sequence=one.sequence, event=event.id, correlation="", is_over=True,
                )  # fmt: skip
