"""What was in force: folded from what each producer may say, in the order in which it happened."""

from __future__ import annotations

from typing import Any

import msgspec

from bus.audit.questions.state import State, _Fold
from bus.audit.told import Told
from tests.unit.audit.test_audit_tree import an_event


def _folded(*events: Told) -> State:
    fold = _Fold(State(at="now"))
    for one in events:
        fold.add(one)
    return fold.finish()


def _at(one: Told, milliseconds: int) -> Told:
    return one._replace(event=msgspec.structs.replace(one.event, time=f"2030-01-31T07:00:00.{milliseconds:03}Z"))


def _loaded(writer: str, tree: str, **changes: Any) -> Told:
    return an_event("config.loaded", writer, tree, metadata={"tree": tree, "version": "1"})._replace(**changes)


def test_the_last_configuration_of_each_slot_counts() -> None:
    """A new process of a slot takes the place of the old one; another slot stands beside it; an end is told."""
    found = _folded(
        _loaded("a", "t1"), _loaded("a", "t2"), _loaded("a", "t1", slot="1"), an_event("process.started", "a", "s"),
        an_event("process.stopped", "a", "e")._replace(slot="1"),
    ).processes  # fmt: skip
    assert [(one.slot, one.tree, one.state) for one in found] == [("0", "t2", "serving"), ("1", "t1", "stopped")]


def test_a_change_is_named_with_the_tree_that_it_made() -> None:
    """The proposal that was applied is named where its tree is loaded, and nowhere else."""
    applied = an_event("apply.applied", "applier", "1", resource="a/p-1", metadata={"tree": "t2"})
    found = _folded(_loaded("a", "t2"), _loaded("b", "t2"), applied)
    assert [(one.agent, one.proposal) for one in found.processes] == [("a", "p-1"), ("b", "")]


def test_what_is_over_does_not_wait_whoever_was_stored_first() -> None:
    """A refusal by the applier ends a proposal also where the verdict that woke it is stored after it."""
    made = an_event("proposal.made", "approvals", "1", resource="a/p-1")
    decided = an_event("proposal.decided", "approvals", "2", resource="a/p-1", action="approved")
    refused = an_event("apply.refused", "applier", "3", resource="a/p-1")
    assert [one.state for one in _folded(_at(made, 1), _at(decided, 2)).proposals] == ["approved"]
    assert _folded(_at(made, 1), _at(refused, 3), _at(decided, 2)).proposals == []


def test_nobody_speaks_for_an_office() -> None:
    """Rules and proposals are what the approval service and the applier say, not what an agent claims."""
    claims = [
        an_event("policy.loaded", "evil", "1", metadata={"policy": "x", "fleet": "x"}),
        an_event("proposal.made", "evil", "2", resource="a/p-1"),
        an_event("apply.applied", "evil", "3", resource="a/p-1", metadata={"tree": "t"}),
    ]
    found = _folded(_loaded("a", "t"), *claims)
    assert (found.policy, found.proposals, found.processes[0].proposal) == ("", [], "")
    said = an_event("policy.loaded", "approvals", "1", metadata={"policy": "p", "fleet": "f"})
    assert (_folded(said).policy, _folded(said).fleet) == ("p", "f")
