"""Metadata that the catalogue does not let an event carry: not stored, counted in the event, and told once a key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import structlog

from bus.audit.event import Happened

_log = structlog.get_logger("audit")
MAX_TOLD: Final = 100
"""So many keys are told in a run of a process; each event has its count whatever is told."""
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


class Withheld:
    """What one process was told to leave out."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def to_tell(self, withheld: Iterable[tuple[str, str]]) -> list[Happened]:
        """An event for each kind and key of it that is not told yet; `told` says that they are written."""
        places = dict.fromkeys(_place(kind, key) for kind, key in withheld)
        fresh = [place for place in places if place not in self._told][: MAX_TOLD - len(self._told)]
        return [
            Happened(
                kind="audit.withheld",
                action="emit",
                resource=place,
                outcome="denied",
                reason="the row of this type does not name this key with a value like this; it was not stored",
            )
            for place in fresh
        ]

    def told(self, events: Iterable[Happened]) -> None:
        """These are written: not again."""
        for event in events:
            self._told.add(event.resource)
            _log.error("audit.metadata_withheld", place=event.resource)


def _place(kind: str, key: str) -> str:
    """A key that is no plain name may be anything, a secret too."""
    return f"{kind}/{key if _KEY.fullmatch(key) else '?'}"
