"""A proposal's life is a table; what the table does not have raises and changes nothing."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from approvals.errors import IllegalStep
from approvals.verdict.machine import (
    FINAL,
    TRANSITIONS,
    Case,
    Cast,
    State,
    Step,
    at_time,
    step,
    with_outcome,
    with_vote,
    withdrawn,
)
from schemas.approvals import Result, VotingVerb
from schemas.fleet import Fleet
from tests.unit.approvals.cases import FLEET, HOUR, MADE_AT, case, cast, panel

STATES: tuple[State, ...] = get_args(State)
STEPS: tuple[Step, ...] = get_args(Step)
STAFF = (panel(),)
ILLEGAL = sorted(set(product(STATES, STEPS)) - TRANSITIONS.keys())


def after(start: Case, *casts: Cast) -> Case:
    """The case after these votes of staff."""
    for each in casts:
        start = with_vote(start, each, STAFF)
    return start


@pytest.mark.parametrize(("state", "name"), ILLEGAL)
def test_a_step_that_is_not_in_the_table_raises(state: State, name: Step) -> None:
    """Every pair of state and step without a row is an IllegalStep that names the state."""
    said = {"broken": "not in force yet"}.get(state, state.replace("_", " "))
    with pytest.raises(IllegalStep, match=said):
        step(state, name)


@pytest.mark.parametrize(("state", "name"), TRANSITIONS)
def test_a_step_of_the_table_leads_where_it_says(state: State, name: Step) -> None:
    """The table is what `step` does."""
    assert step(state, name) == TRANSITIONS[state, name]


@pytest.mark.parametrize("state", STATES)
def test_no_step_leaves_a_final_state(state: State) -> None:
    """A state is final exactly when it has no row."""
    assert (state in FINAL) == all(start != state for start, _ in TRANSITIONS)


@pytest.mark.parametrize("verb", ["approve", "reject", "revoke"])
@pytest.mark.parametrize("state", [state for state in STATES if (state, "vote") not in TRANSITIONS])
def test_only_an_open_proposal_takes_votes(state: State, verb: VotingVerb) -> None:
    """A vote in any other state is refused and changes nothing."""
    start = case(state=state, votes=(cast("approve", "ann", case()),))
    with pytest.raises(IllegalStep):
        after(start, cast(verb, "ben", start, sequence=9))
    assert start.state == state
    assert len(start.votes) == 1


OUTCOMES: dict[State, dict[Result, State]] = {
    "open": {"refused": "refused", "expired": "expired"},
    "approved": {"applied": "applied", "rolled_back": "rolled_back", "refused": "refused"},
    "broken": {"applied": "in_force", "refused": "refused"},
    "in_force": {"expired": "lifted"},
    "lifted": {"overturned": "overturned"},
}
"""Which outcome is possible in which state, and where it leads."""


@pytest.mark.parametrize("result", [result for result in get_args(Result) if result != "checked"])
@pytest.mark.parametrize("state", STATES)
def test_an_outcome_needs_an_approval(state: State, result: Result) -> None:
    """An outcome is possible once, after the approval; an open proposal can only be closed, nothing else is possible."""
    start = case(state=state)
    if leads_to := OUTCOMES.get(state, {}).get(result):
        ended = with_outcome(start, result, "why", "c0ffee")
        assert (ended.state, ended.note, ended.commit) == (leads_to, "why", "c0ffee")
        return
    with pytest.raises(IllegalStep):
        with_outcome(start, result, "why")
    assert start.state == state


@pytest.mark.parametrize("state", STATES)
def test_a_check_decides_nothing(state: State) -> None:
    """That the checks passed is shown, and changes no state."""
    checked = with_outcome(case(state=state), "checked", "3 tests passed")
    assert (checked.state, checked.checks) == (state, "3 tests passed")


def test_the_quorum_decides_at_the_vote_that_reaches_it() -> None:
    """One approval of two leaves it open; the second one is the verdict."""
    one = after(case(), cast("approve", "ann", case(), sequence=4))
    assert (one.state, one.approvals(), one.verdict_sequence) == ("open", 1, 0)
    two = after(one, cast("approve", "ben", case(), sequence=6))
    assert (two.state, two.approvals(), two.verdict_sequence) == ("approved", 2, 6)


def test_a_quorum_is_of_distinct_people() -> None:
    """However often one reviewer approves, it is one approval."""
    votes = [cast("approve", "ann", case(), sequence=n, reason=f"again {n}") for n in range(1, 6)]
    found = after(case(), *votes)
    assert (found.state, found.approvals()) == ("open", 1)


def test_the_last_vote_of_a_reviewer_counts() -> None:
    """After approve and revoke a reviewer approves no more; others still decide."""
    found = after(case(), cast("approve", "ann", case()), cast("revoke", "ann", case(), sequence=2))
    assert (found.state, found.approvals()) == ("open", 0)
    found = after(found, cast("approve", "ben", case(), sequence=3))
    assert (found.state, found.approvals()) == ("open", 1)


def test_a_rejection_is_a_veto() -> None:
    """One reject ends it, whatever others said, and its reason is kept."""
    found = after(case(), cast("approve", "ann", case()), cast("reject", "ben", case(), sequence=5, reason="too broad"))
    assert (found.state, found.verdict_sequence, found.note) == ("rejected", 5, "too broad")


def test_a_rejection_needs_no_digest() -> None:
    """Saying no is about the proposal as such; a digest is checked where one is given."""
    assert after(case(), cast("reject", "ann", case(), digest="")).state == "rejected"
    with pytest.raises(IllegalStep, match="digest is not this proposal's"):
        after(case(), cast("reject", "ann", case(), digest="0" * 64))


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_revocation_is_final(verb: VotingVerb) -> None:
    """A re-delivered copy of an old vote can never undo a revocation."""
    revoked = after(case(), cast("approve", "ann", case()), cast("revoke", "ann", case(), sequence=2))
    with pytest.raises(IllegalStep, match="that is final"):
        after(revoked, cast(verb, "ann", case(), sequence=3))


def test_there_must_be_a_vote_to_revoke() -> None:
    """Revoking nothing is refused."""
    with pytest.raises(IllegalStep, match="no vote"):
        after(case(), cast("revoke", "ann", case()))


@pytest.mark.parametrize("state", STATES)
def test_an_identical_vote_counts_once(state: State) -> None:
    """The same vote again is answered with what is there, in every state, and keeps its first sequence."""
    vote = cast("approve", "ann", case(), sequence=3)
    start = case(state=state, votes=(vote,))
    assert after(start, cast("approve", "ann", case(), sequence=8)) is start


def test_another_digest_is_refused() -> None:
    """A vote is for exact bytes."""
    start = case()
    with pytest.raises(IllegalStep, match="digest is not this proposal's"):
        after(start, cast("approve", "ann", start, digest="0" * 64))
    assert start.votes == ()


@pytest.mark.parametrize(("groups", "may"), [(["staff"], True), (["staff", "x"], True), (["x"], False), ([], False)])
def test_only_the_rules_groups_vote(groups: list[str], may: bool) -> None:
    """A reviewer outside the required groups can neither approve nor veto."""
    fleet = Fleet.model_validate({**FLEET.model_dump(), "reviewers": {"ann": {"groups": groups}}})
    for verb in ("approve", "reject"):
        vote = cast(verb, "ann", case())
        if may:
            assert with_vote(case(), vote, (panel(fleet=fleet),)).votes == (vote,)
        else:
            with pytest.raises(IllegalStep, match="only reviewers of staff"):
                with_vote(case(), vote, (panel(fleet=fleet),))


def test_two_names_of_one_person_are_one_vote() -> None:
    """A quorum is of people, not of keys."""
    fleet = Fleet.model_validate({**FLEET.model_dump(), "same_person": [["ann", "ben"]]})
    panels = (panel(fleet=fleet),)
    one = with_vote(case(), cast("approve", "ann", case()), panels)
    both = with_vote(one, cast("approve", "ben", case(), sequence=2), panels)
    assert (both.state, both.approvals()) == ("open", 1)


def test_every_panel_must_be_met() -> None:
    """Under the old and the new rules: what only one of them grants is not approved."""
    panels = (panel(1), panel(2))
    one = with_vote(case(), cast("approve", "ann", case()), panels)
    assert (one.state, one.approvals(), one.requirement.quorum) == ("open", 1, 2)
    assert with_vote(one, cast("approve", "ben", case(), sequence=2), panels).state == "approved"


def test_only_the_proposer_takes_back_and_only_while_it_is_open() -> None:
    """Somebody else's word changes nothing."""
    assert withdrawn(case(), "greeter", "no").state == "withdrawn"
    with pytest.raises(IllegalStep, match="who alone may withdraw"):
        withdrawn(case(), "other", "no")
    for state in set(STATES) - {"open"}:
        with pytest.raises(IllegalStep):
            withdrawn(case(state=state), "greeter", "no")


def test_expiry_is_by_the_servers_time() -> None:
    """A vote stamped at the last nanosecond counts, one later is refused: no clock of ours is asked."""
    start = case(expires_at_ns=MADE_AT + HOUR)
    assert after(start, cast("approve", "ann", start, at_ns=MADE_AT + HOUR)).approvals() == 1
    with pytest.raises(IllegalStep, match="expired"):
        after(start, cast("approve", "ann", start, at_ns=MADE_AT + HOUR + 1))


@pytest.mark.parametrize("state", STATES)
def test_only_what_waits_for_people_expires(state: State) -> None:
    """When time is over an open proposal has expired, and broken glass is lifted; every other state stays."""
    start = case(state=state, expires_at_ns=MADE_AT + HOUR)
    assert at_time(start, MADE_AT + HOUR) is start
    assert at_time(start, MADE_AT + HOUR + 1).state == {"open": "expired", "in_force": "lifted"}.get(state, state)
