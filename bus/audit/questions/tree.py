"""A conversation as a tree: who asked whom, what was done for it, and how each piece ended.

Built from the events of one correlation. What an event says of its cause is a label, and a process may lie in its
own events; so who did something is read from the subject that the server let it write to, nothing is believed of
another's events, and an event whose cause is unknown, or that claims a circle, stands at the top.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Literal

import msgspec

from bus.audit.select import task_of
from bus.audit.told import Told, is_of_proposal, when
from schemas.audit import AuditEvent, Outcome

Kind = Literal["request", "task", "tool", "model", "proposal", "event"]
OPEN: Outcome = "unknown"


class Node(msgspec.Struct, kw_only=True, eq=False, omit_defaults=True):
    """One piece of work. `writer` did it for `actor`; `outcome` is `unknown` while nothing tells its end."""

    kind: Kind
    writer: str
    actor: str
    action: str
    resource: str = ""
    began: str = ""
    outcome: str = ""
    reason: str = ""
    duration_ms: float | None = None
    steps: list[str] = []
    """What it went through: a task's states, a proposal's."""
    facts: dict[str, str | int | float | bool] = {}
    is_sent: bool = False
    """Whether only the asker tells of it."""
    callers_view: str = ""
    """How it ended for the one who asked, where that is not how it ended."""
    events: list[str] = []
    """Ids of the events that tell of it."""
    parent: Node | None = None
    children: list[Node] = []


def tree(events: Iterable[Told]) -> list[Node]:
    """The pieces of work that nothing else caused, each with what it caused, in the order of the stream."""
    builder = _Builder()
    for one in events:
        builder.add(one)
    return builder.finish()


class _Builder:
    """Every event finds its piece of work; then each piece finds the one that caused it."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._of_event: dict[str, Node] = {}
        self._causes: list[tuple[Node, str]] = []
        self._open: dict[tuple[str, ...], list[Node]] = {}
        self._named: dict[tuple[Kind, str], Node] = {}
        self._ends: list[Told] = []
        self._proposals: list[Told] = []
        self._steps: list[Told] = []

    def add(self, one: Told) -> None:
        """Take an event; ends are kept until all beginnings are known, for two producers' batches may be in any order."""
        kind = one.event.short_type
        domain = kind.split(".")[0]
        if kind in {"request.received", "request.sent", "tool.intended"}:
            self._begin(one, "tool" if domain == "tool" else "request")
        elif kind in {"request.answered", "request.refused", "request.completed", "tool.finished"}:
            self._ends.append(one)
        elif domain == "task":
            self._of_task(one)
        elif is_of_proposal(one):
            self._proposals.append(one)
        elif kind == "conversation.stepped":
            self._steps.append(one)
        else:
            self._alone(one, "model" if kind == "llm.called" else "event")

    def finish(self) -> list[Node]:
        """The roots."""
        for one in self._ends:
            self._end(one)
        for one in sorted(self._proposals, key=when):
            self._of_proposal(one)
        for one in self._steps:
            self._of_conversation(one)
        self._link()
        self._fold()
        return _cut_loose(self._nodes)

    def _begin(self, one: Told, kind: Kind) -> None:
        data = one.event.data
        node = self._new(one, kind)
        node.outcome = OPEN
        if one.event.short_type == "request.sent":
            node.writer, node.actor, node.is_sent = data.resource, one.writer, True
            self._open.setdefault(("sent", one.writer, one.event.id), []).append(node)
        elif kind == "tool":
            self._open.setdefault(("tool", one.writer, one.event.id), []).append(node)
        else:
            self._open.setdefault(("request", one.writer, one.event.traceparent or "", data.action), []).append(node)

    def _end(self, one: Told) -> None:
        event = one.event
        kind = {"request.completed": "sent", "tool.finished": "tool"}.get(event.short_type, "request")
        key = (
            (kind, one.writer, event.traceparent or "", event.data.action)
            if kind == "request"
            else (kind, one.writer, event.causationid or "")
        )
        waiting = self._open.get(key)
        if not waiting:
            self._alone(one, "tool" if kind == "tool" else "request")
            return
        node = waiting.pop(0)
        node.outcome, node.reason, node.duration_ms = event.data.outcome, event.data.reason, event.data.duration_ms
        self._know(node, one)

    def _of_task(self, one: Told) -> None:
        event, task = one.event, task_of(one.event)
        agent = event.data.resource.split("/")[0] or one.writer
        verb = event.short_type.split(".")[1]
        may_tell = one.writer == agent or verb == "submitted"
        name = f"{agent}/{task}"
        node = self._named.get(("task", name)) if may_tell else None
        if node is None:
            node = self._new(one, "task")
            node.writer, node.action, node.resource = agent, "task", name
            node.actor = one.writer if verb == "submitted" else event.data.actor
            node.outcome = OPEN
            if may_tell:
                self._named["task", name] = node
        else:
            self._know(node, one)
            node.actor = event.data.actor if verb == "received" else node.actor
        state = event.data.action if verb == "changed" else verb
        if not node.steps or node.steps[-1] != state:
            node.steps.append(state)
        _judge_task(node, state, event)

    def _of_proposal(self, one: Told) -> None:
        data, verb = one.event.data, one.event.short_type.split(".")[1]
        agent, _, name = data.resource.partition("/")
        key: tuple[Kind, str] = ("proposal", data.resource)
        node = self._named.get(key)
        if node is None:
            node = self._named[key] = self._new(one, "proposal")
            node.writer, node.actor, node.resource = agent, agent, data.resource
            node.action, node.outcome, node.reason = name, OPEN, ""
        else:
            self._know(node, one)
        if verb == "sent" and one.event.causationid:
            self._causes.append((node, one.event.causationid))
        node.steps.append(_step(one))
        node.facts.update({key: data.metadata[key] for key in ("digest", "kind", "state") if key in data.metadata})
        if verb in {"decided", "applied", "rolled_back", "refused"}:
            node.outcome, node.reason = data.outcome, data.reason

    def _of_conversation(self, one: Told) -> None:
        """A step belongs to the work in whose course the models were asked: what they did has lines of its own."""
        node = self._of_event.get(one.event.causationid or "")
        if node is None or node.writer != one.writer:
            self._alone(one, "event")
        else:
            self._know(node, one)

    def _alone(self, one: Told, kind: Kind) -> None:
        event = one.event
        node = self._new(one, kind)
        node.outcome, node.reason, node.duration_ms = event.data.outcome, event.data.reason, event.data.duration_ms
        if kind == "event":
            node.action = f"{event.short_type} {event.data.action}"

    def _new(self, one: Told, kind: Kind) -> Node:
        event, data = one.event, one.event.data
        node = Node(
            kind=kind, writer=one.writer, actor=data.actor, action=data.action, resource=data.resource,
            began=event.time, facts=dict(data.metadata), children=[], steps=[], events=[],
        )  # fmt: skip
        self._nodes.append(node)
        self._know(node, one)
        if event.causationid:
            self._causes.append((node, event.causationid))
        return node

    def _know(self, node: Node, one: Told) -> None:
        node.events.append(one.event.id)
        self._of_event.setdefault(one.event.id, node)

    def _link(self) -> None:
        for node, cause in self._causes:
            parent = self._of_event.get(cause)
            if node.parent is None and parent is not None and parent is not node:
                node.parent = parent

    def _fold(self) -> None:
        """What was sent and what was received are one request: the asked agent's side, in the asker's place."""
        absorbed: dict[int, Node] = {}
        for node in self._nodes:
            sent = node.parent
            if sent is not None and id(sent) not in absorbed and _is_same_request(sent, node):
                absorbed[id(sent)] = node
        folded = {id(node) for node in absorbed.values()}
        for sent in [node for node in self._nodes if id(node) in absorbed]:
            _take_in(sent, absorbed[id(sent)])
        self._nodes = [absorbed.get(id(node), node) for node in self._nodes if id(node) not in folded]
        for node in self._nodes:
            if node.parent is not None:
                node.parent = absorbed.get(id(node.parent), node.parent)


def _is_same_request(sent: Node, received: Node) -> bool:
    return (
        sent.kind == received.kind == "request"
        and sent.is_sent
        and not received.is_sent
        and (sent.writer, sent.actor) == (received.writer, received.actor)
    )


def _take_in(sent: Node, received: Node) -> None:
    if sent.outcome != received.outcome:
        received.callers_view = f"{sent.outcome} {sent.reason}".rstrip()
    received.parent, received.events = sent.parent, sent.events + received.events
    received.began = sent.began


def _judge_task(node: Node, state: str, event: AuditEvent) -> None:
    ends: dict[str, Outcome] = {
        "completed": "success", "failed": "failure", "canceled": "failure", "rejected": "denied",
        "given_up": "failure", "refused": "denied",
    }  # fmt: skip
    if state in ends:
        node.outcome, node.reason = ends[state], event.data.reason or node.reason
        node.duration_ms = took_ms(node.began, event.time)


def took_ms(began: str, ended: str) -> float | None:
    """Milliseconds between two times of events, which are their producers' claims; None where that makes no sense."""
    try:
        took = datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(began)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, took.total_seconds() * 1000)


def _step(one: Told) -> str:
    """A step of a proposal, with who took it: `voted approve by ada`."""
    data, verb = one.event.data, one.event.short_type.split(".")[1]
    if verb == "voted":
        return f"{data.action} by {data.actor}"
    if verb == "shown":
        return f"shown to {data.actor}"
    if verb == "intended":
        return data.action
    return str(data.metadata.get("state", data.action)) if verb == "decided" else verb


def _cut_loose(nodes: list[Node]) -> list[Node]:
    """Hang every piece below its cause; one that would hang below itself is at the top."""
    sound: set[int] = set()
    for node in nodes:
        path: dict[int, Node] = {}
        above: Node | None = node
        while above is not None and id(above) not in sound and id(above) not in path:
            path[id(above)] = above
            above = above.parent
        if above is not None and id(above) in path:
            above.parent = None
        sound |= path.keys()
    for node in nodes:
        if node.parent is not None:
            node.parent.children.append(node)
    return [node for node in nodes if node.parent is None]
