"""The ledger is a fold: the same records give the same state, and what is forged changes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.verdict.fold import Judgement, Ledger, Recorded, Rules
from approvals.verdict.machine import Case
from schemas.fleet import Fleet
from tests.unit.approvals.cases import FLEET, HOUR, MADE_AT, POLICY, Book, case, ended, proposal, proposed, rules, voted


def ledger(in_force: Rules | None = None) -> Ledger:
    """An empty ledger."""
    return Ledger(in_force or rules(), Book())


def fed(book: Ledger, *records: Recorded) -> Judgement:
    """Give records to a ledger by their subjects; returns what became of the last one."""
    judge = {
        "propose": book.proposed, "withdraw": book.proposed, "glass": book.proposed,
        "review": book.voted, "outcome": book.ended,
    }  # fmt: skip
    found = [judge[record.subject.split(".")[1]](record) for record in records]
    return found[-1]


ONE, TWO = case(), case(proposal(nonce="two"))
MADE = (proposed(ONE.proposal), proposed(TWO.proposal, sequence=2))
APPROVE = f"{ONE.id} {ONE.digest} fine"


def test_a_proposal_then_votes_then_an_outcome() -> None:
    """The whole life of a proposal, from what the server recorded."""
    book = ledger()
    assert fed(book, MADE[0]).case == book.cases[ONE.id]
    assert fed(book, voted("ann", "approve", APPROVE)).refusal == ""
    assert fed(book, voted("ben", "approve", APPROVE, sequence=2)).case == book.find(ONE.id)
    assert (book.find(ONE.id).state, book.find(ONE.id).verdict_sequence) == ("approved", 2)
    assert fed(book, ended(ONE)).case == book.find(ONE.id)
    assert book.find(ONE.id).state == "applied"


BODIES = [
    APPROVE,
    f"{ONE.id} other words",
    f"{TWO.id} {TWO.digest}",
    f"{TWO.id} {ONE.digest}",
    "p-aaaaaaaa",
    "",
    "\x00",
]
RECORDS = st.lists(
    st.sampled_from(MADE)
    | st.builds(
        voted,
        st.sampled_from(["ann", "ben", "cem", "mallory"]),
        st.sampled_from(["approve", "reject", "revoke", "list"]),
        st.sampled_from(BODIES),
        sequence=st.integers(1, 50),
        at_ns=st.sampled_from([MADE_AT, MADE_AT + HOUR, MADE_AT + 25 * HOUR]),
    )
    | st.builds(ended, st.sampled_from([ONE, TWO]), st.sampled_from(["applied", "rolled_back", "refused"]))
    | st.builds(Recorded, st.just("approvals.propose.greeter"), st.binary(max_size=9), st.just(9), st.just(MADE_AT)),
    max_size=12,
)


@settings(deadline=None)
@given(RECORDS)
def test_replaying_the_same_records_gives_the_same_state(records: list[Recorded]) -> None:
    """Two folds over the same streams agree in every case, also when the second one starts later in time."""
    first, second = ledger(), ledger()
    for record in records:
        fed(first, record)
    for record in records:
        fed(second, record)
    assert first.cases == second.cases


@settings(deadline=None)
@given(RECORDS)
def test_a_refused_record_changes_nothing(records: list[Recorded]) -> None:
    """A record without a case as its judgement leaves every case as it was."""
    book = ledger()
    for record in records:
        before = dict(book.cases)
        judgement = fed(book, record)
        if judgement.case is None:
            assert judgement.refusal
            assert book.cases == before


@settings(deadline=None)
@given(RECORDS)
def test_nothing_is_approved_without_two_of_staff(records: list[Recorded]) -> None:
    """Whatever is recorded in whatever order, an approved case has approvals of two distinct staff reviewers."""
    book = ledger()
    for record in records:
        fed(book, record)
        for found in book.cases.values():
            if found.state == "approved":
                approvers = {who for who, last in found.live_votes().items() if last.vote.verb == "approve"}
                assert approvers == {"ann", "ben"}


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        (voted("ann", "approve", f"{TWO.id} {TWO.digest}"), "there is no proposal"),
        (voted("ann", "approve", ONE.id), "approving needs the full digest"),
        (voted("ann", "approve", f"{ONE.id} {TWO.digest}"), "digest is not this proposal's"),
        (voted("ann", "approve", f"{ONE.id} {ONE.digest.upper()}"), "approving needs the full digest"),
        (voted("ann", "approve", ""), "type: approvals.approve"),
        (voted("ann", "list", ONE.id), "list is not a vote"),
        (voted("mallory", "approve", APPROVE), "mallory is not a reviewer"),
        (voted("cem", "approve", APPROVE), "lets only reviewers of staff vote"),
        (voted("cem", "reject", ONE.id), "lets only reviewers of staff vote"),
        (voted("ann", "approve", APPROVE, at_ns=MADE_AT + 25 * HOUR), "expired"),
        (Recorded("approvals.review.ann.x.approve", APPROVE.encode(), 1, MADE_AT), "not of the form"),
        (Recorded("approvals.review.ann.approve", b"\xff\xfe", 1, MADE_AT), "type: approvals.approve"),
        (ended(TWO), "there is no proposal"),
        (ended(ONE, digest=TWO.digest), "another digest"),
        (Recorded("approvals.outcome.x", b"{", 1, MADE_AT), "truncated"),
        (Recorded("approvals.outcome.x", b'{"proposal":"\xff"}', 1, MADE_AT), "utf-8"),
        (Recorded("approvals.outcome.x", b'{"more":1}', 1, MADE_AT), "unknown field"),
        (Recorded("approvals.propose.greeter", b"", 1, MADE_AT), "not a proposal"),
        (Recorded("approvals.propose.greeter", b'{"agent":"\xff"}', 1, MADE_AT), "not a proposal"),
        (Recorded("approvals.propose.greeter", msgspec.json.encode({"more": 1}), 1, MADE_AT), "unknown field"),
    ],
)
def test_forged_and_undecodable_records_change_nothing(record: Recorded, refusal: str) -> None:
    """Each is refused with its reason, and the one proposal that there is stays as it was."""
    book = ledger()
    fed(book, MADE[0])
    before = dict(book.cases)
    judgement = fed(book, record)
    assert judgement.case is None
    assert refusal.lower() in judgement.refusal.lower()
    assert book.cases == before


def test_a_vote_before_the_proposal_does_not_count() -> None:
    """Nobody can approve what was not yet recorded, even with the right digest."""
    book = ledger()
    assert "there is no proposal" in fed(book, voted("ann", "approve", APPROVE)).refusal
    found = fed(book, MADE[0]).case
    assert found is not None
    assert found.votes == ()


def test_the_same_bytes_again_are_the_same_proposal() -> None:
    """Votes stay, nothing is new."""
    book = ledger()
    fed(book, MADE[0], voted("ann", "approve", APPROVE))
    again = fed(book, proposed(ONE.proposal, sequence=9, at_ns=MADE_AT + HOUR))
    assert not again.is_new
    assert again.case == book.find(ONE.id)
    assert book.find(ONE.id).approvals() == 1


def test_an_identical_vote_again_is_not_new() -> None:
    """It is answered with what is on record, and counts once."""
    book = ledger()
    fed(book, MADE[0])
    assert fed(book, voted("ann", "approve", APPROVE)).is_new
    assert not fed(book, voted("ann", "approve", APPROVE, sequence=2)).is_new
    assert book.find(ONE.id).approvals() == 1


def test_an_agent_proposes_for_itself_only() -> None:
    """The proposer is the token of the subject; a proposal about somebody else is not even kept."""
    book = ledger()
    assert "only propose for itself" in fed(book, proposed(ONE.proposal, by="other")).refusal
    assert book.cases == {}


@pytest.mark.parametrize(
    ("changes", "expires_at_ns"),
    [
        ({"expires_at_ns": MADE_AT + HOUR}, MADE_AT + HOUR),
        ({"expires_at_ns": MADE_AT + 99 * HOUR}, MADE_AT + 24 * HOUR),
        ({"expires_at_ns": 10**40}, MADE_AT + 24 * HOUR),
        ({"expires_at_ns": -(10**40)}, MADE_AT),
    ],
)
def test_the_policy_bounds_the_time_to_decide(changes: dict[str, Any], expires_at_ns: int) -> None:
    """A proposal may ask for less time, never for more, and not for a time before it was made."""
    found = fed(ledger(), proposed(proposal(**changes))).case
    assert found is not None
    assert found.expires_at_ns == expires_at_ns


def test_a_proposal_of_nothing_is_refused_and_the_next_one_is_read() -> None:
    """A proposal without files must not stop the fold: the service reads it again at every start."""
    book = ledger()
    assert fed(book, proposed(proposal(files=()))).refusal == "the proposal changes nothing"
    assert fed(book, MADE[0]).refusal == ""


def test_an_outcome_is_a_fact_even_when_the_rules_have_changed() -> None:
    """A reviewer who approved has left; that the change was applied is not judged again."""
    without_ben = Fleet.model_validate({**FLEET.model_dump(), "reviewers": {"ann": {}}})
    book = ledger(rules(POLICY, without_ben))
    fed(book, MADE[0], voted("ann", "approve", APPROVE), voted("ben", "approve", APPROVE, sequence=2))
    assert book.find(ONE.id).state == "open"
    fed(book, ended(ONE))
    assert book.find(ONE.id).state == "applied"


@pytest.mark.parametrize("result", ["applied", "rolled_back", "refused"])
def test_no_outcome_after_a_rejection(result: str) -> None:
    """What reviewers rejected stays rejected, whatever is reported of it."""
    book = ledger()
    fed(book, MADE[0], voted("ann", "reject", ONE.id))
    assert fed(book, ended(ONE, result)).case is None
    found: Case = book.find(ONE.id)
    assert found.state == "rejected"
