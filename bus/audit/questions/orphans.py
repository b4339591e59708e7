"""What was begun and has no known end: intents, requests, tasks, proposals.

A process says what it is about to do before it does it, and how it went afterwards. Where the second is missing, the
process died in between, or is still at it: then it is the slot's latest process, and has not said that it stopped.
What is known to have no end is to be looked at by a person: whether the mail went out is not on any trail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from bus.audit.select import task_of
from bus.audit.told import Told, is_of_proposal
from schemas import names

Key = tuple[str, ...]
_WAITING = {"input-required", "input_required", "auth-required", "auth_required"}
_ENDED = {"completed", "failed", "canceled", "rejected"}
_REMEMBERED = 10_000
"""Tasks that their agents took and whose submitters may not have told of yet."""


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """Something without an end. `is_over`: the process that began it has ended, so nobody works on it there."""

    what: str
    writer: str
    actor: str
    resource: str
    time: str
    sequence: int
    event: str
    correlation: str
    is_over: bool
    not_before: str = ""
    """Of a task that was put off, when it may be begun: until then it is no orphan."""


@dataclass(slots=True)
class Orphans:
    """Feed it every event in the stream's order. Memory grows with what is open, not with the stream."""

    _open: dict[Key, list[tuple[str, Told]]] = field(default_factory=dict)
    _by_event: dict[tuple[str, str], Key] = field(default_factory=dict)
    _epochs: dict[str, str] = field(default_factory=dict)
    _stopped: set[str] = field(default_factory=set)
    _taken: dict[str, None] = field(default_factory=dict)

    def add(self, one: Told) -> None:
        """Take an event."""
        event, kind = one.event, one.event.short_type
        self._epochs[one.process] = event.epoch
        if kind == "process.stopped":
            self._stopped.add(event.epoch)
        domain = kind.split(".")[0]
        if domain in {"request", "tool"}:
            self._of_work(one, kind)
        elif domain == "task":
            self._of_task(one, kind.split(".")[1])
        elif domain == "apply" and is_of_proposal(one):
            self._turn(
                ("apply", event.data.resource), one, f"apply: {event.data.action}", is_end=kind != "apply.intended"
            )
        elif domain == "proposal":
            self._of_proposal(one, kind)

    def found(self) -> Iterator[Orphan]:
        """What is open now, the oldest first."""
        waiting = [entry for entries in self._open.values() for entry in entries]
        for what, one in sorted(waiting, key=lambda entry: entry[1].sequence):
            event = one.event
            yield Orphan(
                what=what, writer=one.writer, actor=event.data.actor, resource=event.data.resource, time=event.time,
                sequence=one.sequence, event=event.id, correlation=event.correlationid or "",
                is_over=event.epoch in self._stopped or self._epochs[one.process] != event.epoch,
                not_before=str(event.data.metadata.get("not_before", "")),
            )  # fmt: skip

    def _of_work(self, one: Told, kind: str) -> None:
        event, action = one.event, one.event.data.action
        side = "sent" if kind in {"request.sent", "request.completed"} else kind.split(".", maxsplit=1)[0]
        key = (side, one.writer, event.traceparent or "", action)
        if kind in {"request.received", "request.sent", "tool.intended"}:
            self._begin(key, one, {
                "request.received": f"request {action} received, neither answered nor refused",
                "request.sent": f"request {action} to {event.data.resource} sent, no end is known",
                "tool.intended": f"tool {action} intended, no outcome is known",
            }[kind])  # fmt: skip
        else:
            self._end(key, one)

    def _of_task(self, one: Told, verb: str) -> None:
        event, task = one.event, task_of(one.event)
        agent = event.data.resource.split("/")[0] or one.writer
        key = ("task", f"{agent}/{task}")
        if verb == "submitted":
            if key[1] not in self._taken:  # its agent may have been quicker than its submitter's trail
                self._begin(("left", *key), one, f"task {task} left for {agent}, which never took it")
            return
        if one.writer != agent:
            return
        self._open.pop(("left", *key), None)
        self._remember(key[1])
        state = event.data.action if verb == "changed" else verb
        is_end = state in _ENDED | _WAITING | {"refused", "found", "given_up"}
        due = event.data.metadata.get("not_before")
        what = f"task {task} put off until {due}" if verb == "scheduled" else f"task {task} {state}, never ended"
        self._turn(key, one, what, is_end=is_end)

    def _remember(self, task: str) -> None:
        self._taken.pop(task, None)
        self._taken[task] = None
        if len(self._taken) > _REMEMBERED:
            del self._taken[next(iter(self._taken))]

    def _of_proposal(self, one: Told, kind: str) -> None:
        digest = str(one.event.data.metadata.get("digest", "")) or one.event.data.payload_sha256
        key = ("proposal", digest)
        if kind == "proposal.sent" and is_of_proposal(one):
            self._begin(key, one, "proposal sent, and not recorded by the approval service")
        elif kind in {"proposal.made", "proposal.refused"} and not one.is_agent and one.writer == names.APPROVALS:
            self._open.pop(key, None)

    def _begin(self, key: Key, one: Told, what: str) -> None:
        self._open.setdefault(key, []).append((what, one))
        self._by_event[one.writer, one.event.id] = key

    def _turn(self, key: Key, one: Told, what: str, *, is_end: bool) -> None:
        """The one thing of that key has a new state, or has ended."""
        for _, earlier in self._open.pop(key, ()):
            self._by_event.pop((earlier.writer, earlier.event.id), None)
        if not is_end:
            self._begin(key, one, what)

    def _end(self, key: Key, one: Told) -> None:
        """End what the event names as its cause, else the first that it can be the end of."""
        cause = (one.writer, one.event.causationid or "")
        if self._by_event.get(cause, ("",))[0] == key[0] and key[0] != "request":
            key = self._by_event[cause]
        waiting = self._open.get(key, [])
        place = next((place for place, (_, begun) in enumerate(waiting) if begun.event.id == cause[1]), 0)
        if waiting:
            _, begun = waiting.pop(place)
            self._by_event.pop((begun.writer, begun.event.id), None)
        if not waiting:
            self._open.pop(key, None)
