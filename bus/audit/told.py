"""An event together with who wrote it, which is what its subject says and nothing else.

Everything in an event is a claim of its producer. So the events of the approval service and of the applier count
only where those two alone may write, and an agent's word counts for that agent.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bus.audit.read import Record, events_of
from schemas import names
from schemas.audit import AuditEvent, decode_event

_TOKENS = 5
"""Tokens in the subject of an event."""


class Told(NamedTuple):
    """`writer` is a token of the subject: the server lets nobody else publish there."""

    writer: str
    is_agent: bool
    event: AuditEvent
    sequence: int
    slot: str = "0"
    stored: str = ""
    """When the server stored it, by the server's clock."""
    place: int = 0
    """Its place among the events of its message, from 0."""
    subject: str = ""

    @property
    def process(self) -> str:
        """The place where one process of the writer runs at a time."""
        return f"{self.writer}.{self.slot}"


def told(record: Record) -> list[Told]:
    """The events of a stored message that can be read and stand where a producer writes."""
    tokens = record.subject.split(".")
    if record.problem or len(tokens) != _TOKENS:
        return []
    found = []
    for one in events_of(record):
        try:
            event = decode_event(one.payload)
        except msgspec.DecodeError:
            continue
        if event.type.split(".")[1:2] == tokens[4:]:
            found.append(
                Told(
                    tokens[2],
                    tokens[1] == "agent",
                    event,
                    record.sequence,
                    tokens[3],
                    record.time,
                    one.place,
                    record.subject,
                )
            )
    return found


def when(one: Told) -> tuple[str, int]:
    """Sorts what several producers say of one matter, whose batches may be stored in another order than they happened."""
    return one.event.time, one.sequence


def is_of_proposal(one: Told) -> bool:
    """Whether it tells of a proposal, and by whom that may be told."""
    kind, resource = one.event.short_type, one.event.data.resource
    agent, _, name = resource.partition("/")
    if not name:
        return False
    if kind == "proposal.sent":
        return one.is_agent and one.writer == agent
    offices = {"proposal": names.APPROVALS, "apply": names.APPLIER}
    return not one.is_agent and one.writer == offices.get(kind.split(".")[0])
