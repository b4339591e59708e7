"""A conversation as a tree: who caused what, how each piece ended, and nothing that a liar's events could do to it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from bus.audit.questions.tree import Node, tree
from bus.audit.questions.tree_render import WIDTH, lines, rows, walk
from bus.audit.read import Record
from bus.audit.told import Told, told
from schemas.audit import CATALOGUE, GENESIS, AuditEvent, EventData, encode_event

TIME = "2030-01-31T07:00:00.000Z"


def an_event(kind: str, writer: str, name: str, cause: str = "", **data: Any) -> Told:
    """`span` among `data` stands for the work that an event belongs to."""
    span = data.pop("span", writer)
    facts: dict[str, Any] = {"actor": writer, "action": "SendMessage", "outcome": "success", **data}
    event = AuditEvent(
        id=name, source=f"urn:agentbus:agent:{writer}", type=CATALOGUE[kind].name, time=TIME, sequence=1, prev=GENESIS,
        epoch="e", severitynumber=9, severitytext="INFO", data=EventData(**facts), correlationid="c",
        traceparent=f"span-{span}", causationid=cause or UNSET,
    )  # fmt: skip
    return Told(writer, writer not in {"approvals", "applier"}, event, 1)


def shape(nodes: list[Node]) -> list[tuple[int, str, str, str]]:
    return [(depth, node.kind, node.writer, node.outcome) for node, depth, _ in walk(nodes)]


CONVERSATION = [
    an_event("request.received", "b", "b1", "a2", actor="a"),  # stored before the event that caused it
    an_event(
        "llm.called",
        "b",
        "b2",
        "b1",
        resource="x/y",
        metadata={"input_tokens": 3, "output_tokens": 4, "cost_usd": 0.0125},
    ),
    an_event("request.answered", "b", "b3", "a2", actor="a", duration_ms=5.0),
    an_event("request.received", "a", "a1", actor="ops"),
    an_event("request.sent", "a", "a2", "a1", resource="b"),
    an_event("request.completed", "a", "a3", "a2", resource="b", outcome="failure", reason="DEADLINE_EXCEEDED"),
    an_event("tool.intended", "a", "a4", "a1", action="propose_change"),
    an_event("proposal.sent", "a", "a5", "a4", resource="a/p-1"),
    an_event("tool.finished", "a", "a6", "a4", action="propose_change"),
    an_event("proposal.made", "approvals", "s1", resource="a/p-1", metadata={"digest": "d"}),
    an_event("proposal.voted", "approvals", "s2", resource="a/p-1", actor="ada", action="approve"),
    an_event("proposal.decided", "approvals", "s3", resource="a/p-1", metadata={"state": "approved"}),
    an_event("apply.applied", "applier", "s4", resource="a/p-1"),
    an_event("request.answered", "a", "a7", actor="ops", duration_ms=9.0),
]


def test_each_piece_hangs_below_what_caused_it() -> None:
    """What was sent and received is one piece; a proposal is one, below the tool that made it; ends are told."""
    assert shape(tree(CONVERSATION)) == [
        (0, "request", "a", "success"),
        (1, "request", "b", "success"),
        (2, "model", "b", "success"),
        (1, "tool", "a", "success"),
        (2, "proposal", "a", "success"),
    ]
    shown = lines(tree(CONVERSATION), "c")
    assert shown[2:4] == [
        "ops → a SendMessage: ok 9.0 ms, 3+4 tokens, 0.0125 USD",
        "├ a → b SendMessage: ok 5.0 ms (for a: failure DEADLINE_EXCEEDED), 3+4 tokens,",
    ]
    assert shown[1] == "2 agents, 1 model call, 3+4 tokens, 0.0125 USD"
    assert any("model x/y, 3+4 tokens, 0.0125 USD: ok" in line for line in shown)
    assert "sent, made, approve by ada, approved, applied" in " ".join(" ".join(shown).split())


def test_tokens_and_money_are_summed_upwards() -> None:
    """Each piece has what the models below it took; what a call did not tell is no zero."""
    known = {"input_tokens": 3, "output_tokens": 4, "cost_usd": 0.5}
    events = [
        an_event("request.received", "a", "a1", actor="ops"),
        an_event("llm.called", "a", "a2", "a1", resource="x/y", metadata=known),
        an_event("request.sent", "a", "a3", "a1", resource="b"),
        an_event("request.received", "b", "b1", "a3", actor="a"),
        an_event("llm.called", "b", "b2", "b1", resource="x/y", metadata=known),
        an_event("llm.called", "b", "b3", "b1", resource="x/z", outcome="unknown", metadata={"input_tokens": 1}),
    ]
    found = rows(tree(events))
    totals = {row["writer"]: row["total"] for row in found if row["kind"] == "request"}
    assert totals["a"] == {"model_calls": 3, "input_tokens": 7, "output_tokens": 8, "cost_usd": 1.0, "untold": 1}
    assert totals["b"] == {"model_calls": 2, "input_tokens": 4, "output_tokens": 4, "cost_usd": 0.5, "untold": 1}
    shown = lines(tree(events), "c")
    assert shown[1] == "2 agents, 3 model calls, 7+8? tokens, 1? USD"
    assert shown[2].endswith(", 7+8? tokens, 1? USD")


def test_steps_of_a_conversation_belong_to_its_request() -> None:
    """They have no lines of their own; of another's work nobody's steps are a part."""
    step = {"metadata": {"from": "start_conversation", "to": "send_message", "round": 0}}
    events = [
        an_event("request.received", "a", "a1", actor="ops"),
        an_event("conversation.stepped", "a", "a2", "a1", **step),
        an_event("conversation.stepped", "evil", "e1", "a1", **step),
    ]
    assert shape(tree(events)) == [(0, "request", "a", "unknown"), (1, "event", "evil", "success")]
    assert tree(events)[0].events == ["a1", "a2"]


@given(st.permutations(CONVERSATION))
def test_the_order_of_the_stream_does_not_decide_who_caused_what(events: list[Told]) -> None:
    """Whatever order the producers' batches were stored in, the same pieces hang below the same ones."""
    ends = {"request.answered", "request.completed", "tool.finished"}
    found = tree(events)
    expected = {
        (node.kind, node.writer, node.parent and (node.parent.kind, node.parent.writer))
        for node, _, _ in walk(tree(CONVERSATION))
    }
    assert {
        (node.kind, node.writer, node.parent and (node.parent.kind, node.parent.writer)) for node, _, _ in walk(found)
    } == expected
    assert ends <= set(CATALOGUE)
    assert sum(len(node.events) for node, _, _ in walk(found)) == len(CONVERSATION)


def test_a_task_is_one_piece_with_its_states() -> None:
    """Submitted by one, worked on by another, tried twice: one line, ended as its last state says."""
    events = [
        an_event("task.submitted", "a", "a2", "a1", resource="b/task-7"),
        an_event("task.received", "b", "b1", "a1", actor="a", metadata={"sequence": 7}),
        an_event("task.changed", "b", "b2", "b1", actor="a", action="working", resource="b/task-7"),
        an_event("task.redelivered", "b", "b3", "a1", actor="a", metadata={"sequence": 7}),
        an_event("task.changed", "b", "b4", "b3", actor="a", action="failed", resource="b/task-7"),
    ]
    (node,) = tree(events)
    assert (node.steps, node.outcome) == (["submitted", "received", "working", "redelivered", "failed"], "failure")


def test_what_became_of_a_proposal_is_told_in_its_order() -> None:
    """The applier's words may be stored before those of the service that woke it: what happened last decides."""
    refused = an_event("apply.refused", "applier", "s2", resource="a/p-1", outcome="denied")
    decided = an_event("proposal.decided", "approvals", "s1", resource="a/p-1", metadata={"state": "approved"})
    later = msgspec.structs.replace(refused.event, time="2030-01-31T07:00:00.001Z")
    (node,) = tree([refused._replace(event=later), decided._replace(sequence=2)])
    assert (node.steps, node.outcome) == (["approved", "refused"], "denied")


def test_only_the_office_tells_what_became_of_a_proposal() -> None:
    """An agent that writes `apply.applied` on its own subject, or speaks of another's proposal, changes nothing there."""
    events = [
        an_event("proposal.sent", "a", "a1", resource="a/p-1"),
        an_event("apply.applied", "evil", "e1", resource="a/p-1"),
        an_event("proposal.voted", "a", "a2", resource="a/p-1", action="approve"),
        an_event("proposal.sent", "evil", "e2", resource="a/p-1"),
        an_event("apply.applied", "approvals", "s1", resource="a/p-1"),
    ]
    proposals = [node for node, _, _ in walk(tree(events)) if node.kind == "proposal"]
    assert [(node.steps, node.outcome) for node in proposals] == [(["sent"], "unknown")]


def test_nobody_ends_anothers_work() -> None:
    """An end counts for the writer's own work only, also when it claims another's span and cause."""
    events = [
        an_event("request.received", "a", "a1", actor="ops"),
        an_event("tool.intended", "a", "a2", "a1", action="t"),
        an_event("request.answered", "evil", "e1", span="a"),
        an_event("tool.finished", "evil", "e2", "a2", action="t"),
    ]
    outcomes = {(node.kind, node.writer): node.outcome for node, _, _ in walk(tree(events))}
    assert outcomes["request", "a"] == outcomes["tool", "a"] == "unknown"


IDS = st.sampled_from([f"e{number}" for number in range(8)])
HOSTILE = st.builds(
    an_event, st.sampled_from(sorted(CATALOGUE)), st.sampled_from(["a", "b", "approvals"]), IDS, IDS,
    resource=st.sampled_from(["", "a", "a/p-1", "b/task-1", "\x1b[2J\u202e" * 30]), reason=st.text(max_size=200),
    action=st.sampled_from(["SendMessage", "x" * 300, "\r\n"]), span=st.sampled_from(["1", "2"]),
)  # fmt: skip


@given(st.lists(HOSTILE, max_size=30))
def test_no_events_break_the_tree(events: list[Told]) -> None:
    """Circles, doubles and lies: every event is in the tree once, every line harmless and at most 80 columns wide."""
    roots = tree(events)
    found = [node for node, _, _ in walk(roots)]
    assert len({id(node) for node in found}) == len(found)
    assert sum(len(node.events) for node in found) == len(events)
    for line in lines(roots, "c"):
        assert line.isprintable()
        assert len(line) <= WIDTH
    for row in json.loads(json.dumps(rows(roots))):
        assert row["parent"] is None or row["parent"] < row["id"]


def test_a_very_deep_conversation_is_drawn() -> None:
    """Ten thousand levels are neither an error nor wide."""
    events = [an_event("tool.intended", "a", f"e{n}", f"e{n - 1}", action="t") for n in range(10_000)]
    shown = lines(tree(events), "c")
    assert len(shown) == 10_002
    assert max(map(len, shown)) <= WIDTH


@pytest.mark.parametrize("subject", ["audit.seal", "audit.agent.a.0.task", "audit.agent.a.0"])
def test_an_event_on_anothers_subject_tells_nothing(subject: str) -> None:
    """What does not stand on a subject of its own kind is no producer's word."""
    payload = encode_event(an_event("request.received", "a", "a1").event)
    assert told(Record(1, TIME, subject, {}, payload)) == []
    assert len(told(Record(1, TIME, "audit.agent.b.0.request", {}, payload))) == 1


def test_a_circle_of_causes_is_cut() -> None:
    """Two pieces that each name the other as cause are both in the tree: one at the top, one below it."""
    events = [
        an_event("tool.intended", "a", "e1", "e2", action="t"),
        an_event("tool.intended", "a", "e2", "e1", action="t"),
    ]
    assert [depth for _, depth, _ in walk(tree(events))] == [0, 1]


def test_an_agent_is_no_office_by_its_name() -> None:
    """What an agent's subject says is an agent's word, also where the agent is called as an office is."""
    made = an_event("proposal.made", "approvals", "s1", resource="a/p-1")
    assert [node.kind for node in tree([made])] == ["proposal"]
    assert [node.kind for node in tree([made._replace(is_agent=True)])] == ["event"]


def test_what_was_asked_of_one_is_not_answered_by_another() -> None:
    """A process that claims to have received what was sent to somebody else does not take that one's place."""
    events = [
        an_event("request.sent", "a", "a1", resource="b"),
        an_event("request.received", "evil", "e1", "a1", actor="a"),
        an_event("request.answered", "evil", "e2", "a1", actor="a"),
    ]
    assert shape(tree(events)) == [(0, "request", "b", "unknown"), (1, "request", "evil", "success")]
