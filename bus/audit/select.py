"""Which events an auditor wants to see: by time, producer, type, conversation, task, outcome.

As much as possible is asked of the server, so that a question about one agent or about the last hour does not
read a stream of years; the rest is decided event by event.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import get_args

import msgspec

from bus.audit.read import Reader, Record, events_of
from schemas import names, subjects
from schemas.audit import CATALOGUE, DOMAINS, AuditEvent, Outcome, decode_event
from schemas.errors import InvalidDocument
from schemas.ids import task_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Empty fields match everything. Times are the server's, of storing: events of an outage come when it is over."""

    start: int = 1
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    subject: str = ""
    agent: str = ""
    kind: str = ""
    correlation: str = ""
    task: str = ""
    outcome: str = ""

    def check(self) -> None:
        """Refuse what nothing could ever match.

        Raises:
            InvalidDocument: it names what there is.
        """
        if self.kind and self.kind not in {*CATALOGUE, *DOMAINS}:
            near = difflib.get_close_matches(self.kind, CATALOGUE, n=1)
            hint = f"did you mean {near[0]}?" if near else f"domains are {', '.join(DOMAINS)}"
            raise InvalidDocument(f"there is no event type {self.kind[:80]!r}; {hint}")
        if self.outcome and self.outcome not in get_args(Outcome):
            raise InvalidDocument(f"--outcome {self.outcome[:40]!r} is none of {', '.join(get_args(Outcome))}")
        if self.subject and not (self.subject + ".").startswith("audit."):
            raise InvalidDocument(
                f"--subject {self.subject[:80]!r} is on another stream: subjects of events begin with audit., "
                "for example 'audit.agent.greeter.>'"
            )
        if self.since and self.until and self.until < self.since:
            raise InvalidDocument("--until is before --since: nothing is in between")

    @property
    def is_everybodys(self) -> bool:
        """Whether nothing is asked for that only an event can have: then checkpoints are shown too."""
        return not (self.kind or self.correlation or self.task or self.outcome) and self.agent in {"", names.SEALER}

    @property
    def pattern(self) -> str:
        """The subjects to ask the server for; empty for all."""
        if self.subject:
            return self.subject
        if self.agent == names.SEALER and not self.kind:
            return ""  # its checkpoints stand elsewhere
        domain = self.kind.split(".")[0]
        return f"audit.*.{self.agent or '*'}.*.{domain or '*'}" if self.agent or domain else ""


@dataclass(slots=True)
class Matcher:
    """Decides event by event. It remembers the spans in which a task was worked on, so that what a task did matches."""

    wanted: Selection
    _spans: set[str] = field(default_factory=set)

    def matches(self, record: Record) -> bool:
        """Whether to show this event. What cannot be read is always shown: it is what an auditor looks for."""
        wanted = self.wanted
        if record.subject == subjects.SEAL:
            return wanted.is_everybodys
        try:
            event = decode_event(record.payload)
        except msgspec.DecodeError:
            return True
        return (
            wanted.agent in {"", ([*record.subject.split("."), "", ""])[2]}
            and (not wanted.kind or event.short_type == wanted.kind or event.short_type.startswith(f"{wanted.kind}."))
            and wanted.correlation in {"", event.correlationid}
            and wanted.outcome in {"", event.data.outcome}
            and (not wanted.task or self._is_of_task(event))
        )

    def _is_of_task(self, event: AuditEvent) -> bool:
        span = f"{event.source} {event.traceparent}"
        if self.wanted.task == task_of(event):
            self._spans.add(span)
            return True
        return span in self._spans


def task_of(event: AuditEvent) -> str:
    """The task that an event names; empty if it names none."""
    if not event.short_type.startswith("task."):
        return ""
    if event.data.resource.count("/") == 1:
        return event.data.resource.split("/")[1]
    sequence = event.data.metadata.get("sequence")
    return task_id(sequence) if isinstance(sequence, int) else ""


async def selected(
    reader: Reader, wanted: Selection, *, follow: bool = False, end: int | None = None
) -> AsyncGenerator[Record]:
    """Every event that matches, in the stream's order; with `follow`, without end. `end` is the last sequence to read.

    Raises:
        Unavailable, DeadlineExceeded: as `Reader.records`.
    """
    matcher = Matcher(wanted)
    start = max(wanted.start, await reader.first_since(wanted.since) if wanted.since else 1)
    async for record in reader.records(start, until=end, subject=wanted.pattern, follow=follow, poll_s=0.15):
        if wanted.until and stored_at(record) > wanted.until:
            return
        for event in filter(matcher.matches, events_of(record)):
            yield event


def stored_at(record: Record) -> datetime.datetime:
    """When the server stored it; the beginning of time where that cannot be read."""
    try:
        return datetime.datetime.fromisoformat(record.time)
    except ValueError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)
