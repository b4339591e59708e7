"""The story of one change: who proposed what and from which work, who read it, who voted, what was done, how it ended."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import msgspec

from bus.audit.read import Reader
from bus.audit.select import Selection, selected
from bus.audit.told import Told, is_of_proposal, told, when
from schemas.audit import AuditEvent

_LONGEST_WORK = datetime.timedelta(days=7)
"""How long before a proposal the work may have begun that it was made in."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, in words; `reason` is somebody's own text."""

    time: str
    sequence: int
    event: str
    type: str
    actor: str
    what: str
    reason: str = ""


class Story(msgspec.Struct, kw_only=True):
    """Everything that the trail tells of a proposal. Empty fields are not on the trail."""

    agent: str
    proposal: str
    digest: str = ""
    kind: str = ""
    risk: str = ""
    base: str = ""
    tree: str = ""
    state: str = "sent"
    correlation: str = ""
    came_from: str = ""
    """The work in which it was proposed: `ops asked SendMessage`, `ada left task-7`."""
    task: str = ""
    steps: list[Step] = []


async def stories(reader: Reader, proposal: str) -> list[Story]:
    """The story of each proposal of that id; usually there is one.

    Raises:
        Unavailable, DeadlineExceeded: as `Reader.records`.
    """
    events: list[Told] = []
    for domain in ("proposal", "apply"):
        async for record in selected(reader, Selection(kind=domain)):
            events += [one for one in told(record) if is_of_proposal(one) and _id_of(one) == proposal]
    found: dict[str, Story] = {}
    for one in sorted(events, key=when):
        agent = one.event.data.resource.partition("/")[0]
        _tell(found.setdefault(agent, Story(agent=agent, proposal=proposal, steps=[])), one)
    for story in found.values():
        await _find_work(reader, story, [one for one in events if one.writer == story.agent])
    return list(found.values())


def _id_of(one: Told) -> str:
    return one.event.data.resource.partition("/")[2]


def _tell(story: Story, one: Told) -> None:
    event, data = one.event, one.event.data
    facts = {
        name: str(data.metadata[name]) for name in ("digest", "kind", "risk", "base", "tree") if name in data.metadata
    }
    for name, value in facts.items():
        setattr(story, name, getattr(story, name) or value)
    if event.short_type == "proposal.sent":
        story.digest = story.digest or data.payload_sha256
    story.correlation = story.correlation or event.correlationid or ""
    story.state = _state_after(event, story.state)
    story.steps.append(
        Step(
            time=event.time, sequence=one.sequence, event=event.id, type=event.short_type, actor=data.actor,
            what=_what(event), reason=data.reason,
        )
    )  # fmt: skip


def _state_after(event: AuditEvent, before: str) -> str:
    kind, action = event.short_type, event.data.action
    states = {"proposal.made": "open", "apply.applied": "applied", "apply.rolled_back": "rolled back"}
    if kind == "proposal.decided":
        return "expired" if action == "expire" else action
    return "refused by the applier" if kind == "apply.refused" else states.get(kind, before)


def _what(event: AuditEvent) -> str:
    data, kind = event.data, event.short_type
    facts = data.metadata
    words = {
        "proposal.sent": f"{data.actor} sent it",
        "proposal.made": f"recorded for review: {facts.get('kind')}, needs {facts.get('quorum')}",
        "proposal.shown": f"shown to {data.actor}",
        "proposal.voted": f"{data.actor}: {data.action}; {facts.get('approvals')} of {facts.get('quorum')} approve",
        "proposal.decided": f"decided: {_state_after(event, '')}, by vote {facts.get('verdict')}",
        "apply.intended": f"the applier is about to: {data.action}",
        "apply.applied": "applied",
        "apply.rolled_back": "rolled back",
        "apply.refused": "the applier refused it",
    }
    return words.get(kind, f"{kind} {data.action}")


async def _find_work(reader: Reader, story: Story, sent: Iterable[Told]) -> None:
    """The request or the task in whose span the proposal was sent."""
    first = next(iter(sent), None)
    if first is None or not first.event.traceparent:
        return
    since = datetime.datetime.fromisoformat(first.stored) - _LONGEST_WORK
    of_agent = Selection(subject=f"audit.agent.{story.agent}.>", since=since)
    async for record in selected(reader, of_agent, end=first.sequence):
        for one in told(record):
            event = one.event
            if event.traceparent != first.event.traceparent:
                continue
            if event.short_type == "request.received":
                story.came_from = f"{event.data.actor} asked {event.data.action}"
            elif event.short_type.startswith("task."):
                story.task = event.data.resource.partition("/")[2] or story.task
                story.came_from = story.came_from or f"a task of {event.data.actor}"
