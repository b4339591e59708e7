"""What an agent's own events say of it: which release each instance runs, and how its requests end.

The server alone writes where an event stands and who sent it, so an agent can be silent here, but not pretend to
be another instance's success. Read with the applier's key to the trail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from bus.audit.packing import unpacked
from bus.audit.read import Reader, events_of
from bus.connection import Connection
from schemas import names, subjects
from schemas.audit import AuditEvent, decode_event

_TIMEOUT_S = 5.0


class Instance(NamedTuple):
    """A run of a process: the release it loaded, and the id by which its card and its events know it."""

    tree: str
    id: str


@dataclass(slots=True)
class Tally:
    """Requests that an instance answered, and those it could not, since `place` in the stream began to be read."""

    place: int
    answered: int = 0
    failed: int = 0
    seen: int = 0
    """Of any kind."""

    @property
    def failures(self) -> float:
        """Share of those that failed."""
        ended = self.answered + self.failed
        return self.failed / ended if ended else 0.0


class Evidence:
    """Reads the trail of agents."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader = Reader(connection)

    async def end(self) -> int:
        """The sequence that the next message of the trail will have."""
        return (await self._reader.bounds()).last + 1

    async def running(self, agent: str, slot: int) -> Instance | None:
        """Which release the instance in `slot` said last that it loaded."""
        subject = str(subjects.AgentAudit(agent, str(slot), "config"))
        answer = await self._connection.request(
            f"$JS.API.DIRECT.GET.{names.AUDIT}.{subject}", b"", timeout_s=_TIMEOUT_S
        )
        loaded = [event for event in _events(answer.data) if event.short_type == "config.loaded"]
        if "Nats-Sequence" not in answer.headers or not loaded:
            return None
        return Instance(str(loaded[-1].data.metadata.get("tree", "")), loaded[-1].epoch.lower())

    async def count(self, agent: str, slot: int, instance: str, tally: Tally) -> None:
        """Add what the instance's requests came to since `tally.place`, which moves on."""
        subject = str(subjects.AgentAudit(agent, str(slot), "request"))
        async for record in self._reader.records(tally.place, subject=subject):
            tally.place = record.sequence + 1
            for one in events_of(record):
                for event in _events(one.payload):
                    if event.epoch.lower() == instance:
                        _add(tally, event)


def _add(tally: Tally, event: AuditEvent) -> None:
    tally.seen += 1
    if event.short_type == "request.answered":
        tally.answered += 1
    elif event.short_type == "request.refused" and event.data.outcome == "failure":
        tally.failed += 1


def _events(payload: bytes) -> list[AuditEvent]:
    found = []
    for event in unpacked(payload):
        try:
            found.append(decode_event(event))
        except msgspec.DecodeError:
            continue  # no event of ours, so no evidence
    return found
