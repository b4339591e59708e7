"""Who proposes what, who decides it, and by which rules: all of it from the record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from approvals.verdict.fold import Judgement, Ledger, Recorded, Rules
from approvals.verdict.records import MissedRecord, begin, feed
from schemas import names
from schemas.approvals import EMPTY_TREE, BrokenGlass, ChangedFile, Proposal, name_of
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.ids import sha256_hex
from schemas.policy import Policy, Rule
from tests.unit.approvals.cases import (
    FLEET,
    HOUR,
    MADE_AT,
    POLICY,
    Book,
    case,
    ended,
    in_force,
    proposal,
    proposed,
    rules,
    voted,
)
from tests.unit.approvals.test_fold import fed

ONE = case()
APPROVE = f"{ONE.id} {ONE.digest} fine"
FLEET_FILES = (ChangedFile(path="fleet.yaml", mode="100644", sha256="ab" * 32),)


def fleet_proposal(**changes: Any) -> Proposal:
    """A change of what the greeter may do."""
    return proposal(**{"scope": "fleet", "kind": "authority", "files": FLEET_FILES, **changes})


def newcomer(**changes: Any) -> Proposal:
    """The files of an agent that the fleet does not have."""
    return proposal(**{"agent": "scribe", "kind": "authority", "base": EMPTY_TREE, **changes})


def ledger(now: Rules | None = None, book: Book | None = None) -> Ledger:
    """An empty ledger."""
    return Ledger(now or rules(), book or Book(rules()))


def with_reviewers(**reviewers: Any) -> Rules:
    """The rules with other reviewers."""
    return rules(POLICY, Fleet.model_validate({**FLEET.model_dump(), "reviewers": reviewers}))


@pytest.mark.parametrize(
    ("by", "about", "refusal"),
    [
        ("greeter", proposal(), ""),
        ("greeter", fleet_proposal(), ""),
        ("ops", proposal(), ""),
        ("ops", fleet_proposal(agent="other"), ""),
        ("ops", fleet_proposal(agent="", kind="policy"), ""),
        ("greeter", proposal(agent="other"), "only propose for itself"),
        ("greeter", fleet_proposal(agent="other"), "only propose for itself"),
        ("greeter", fleet_proposal(agent=""), "only propose for itself"),
        ("greeter", fleet_proposal(kind="policy"), "may not propose who decides"),
        ("ops", proposal(agent=""), "there is no agent"),
        ("ops", proposal(agent="stranger"), "there is no agent stranger"),
        ("ann", proposal(), "neither an agent nor an operator"),
        ("stranger", proposal(), "neither an agent nor an operator"),
        ("ops", proposal(kind="policy"), "not of kind policy"),
        ("greeter", proposal(kind="authority"), "not of kind authority"),
        ("greeter", proposal(kind="halt"), "not of kind halt"),
        ("ops", fleet_proposal(kind="config"), "authority or policy, not config"),
        ("ops", fleet_proposal(files=()), "changes nothing"),
        ("ops", newcomer(), ""),
        ("ops", newcomer(kind="code"), "a new agent is of kind authority, not code"),
        ("ops", newcomer(agent="greeter"), "there is an agent greeter in this fleet already"),
        ("ops", newcomer(agent="ann"), "cannot have an agent of that name"),
        ("ops", newcomer(agent="applier"), "cannot have an agent of that name"),
        ("ops", newcomer(agent="A"), "cannot have an agent of that name"),
        ("greeter", newcomer(), "only propose for itself"),
        ("ann", newcomer(), "neither an agent nor an operator"),
    ],
)  # fmt: skip
def test_who_may_propose_what(by: str, about: Proposal, refusal: str) -> None:
    """An agent for itself, an operator for all; and no proposal takes a kind that is not its scope's."""
    book = ledger()
    judgement = fed(book, proposed(about, by=by))
    assert refusal in judgement.refusal
    assert (judgement.case is None) == bool(refusal)
    assert len(book.cases) == (0 if refusal else 1)


def taken_back(about: Proposal, by: str, reason: str = "") -> Recorded:
    """A record of PROPOSALS: `by` takes a proposal back."""
    body = f"{name_of(sha256_hex(msgspec.json.encode(about)))} {reason}".encode()
    return Recorded(f"approvals.withdraw.{by}", body, 2, MADE_AT + 1)


def test_a_proposer_takes_back_what_is_open() -> None:
    """It is withdrawn once; votes count no more; nobody else can do it."""
    book = ledger()
    fed(book, proposed(ONE.proposal))
    assert "who alone may withdraw" in fed(book, taken_back(ONE.proposal, "other")).refusal
    assert fed(book, taken_back(ONE.proposal, "greeter", "a mistake")).case == book.find(ONE.id)
    assert (book.find(ONE.id).state, book.find(ONE.id).note) == ("withdrawn", "a mistake")
    assert not fed(book, taken_back(ONE.proposal, "greeter")).is_new
    assert "there is nothing left to decide" in fed(book, voted("ann", "approve", APPROVE)).refusal
    assert book.unsettled == {}


def test_the_same_bytes_of_another_proposer_are_refused() -> None:
    """Who replays an agent's proposal does not become its proposer, and gets no case of its own."""
    book = ledger()
    fed(book, proposed(ONE.proposal))
    assert fed(book, proposed(ONE.proposal, by="ops")).case is None
    assert book.find(ONE.id).proposer == "greeter"


def broken(verb: str = "halt", by: str = "ops", **changes: Any) -> Recorded:
    """A record of PROPOSALS: an operator breaks the glass."""
    usual: dict[str, Any] = {
        "agent": "greeter", "reason": "it runs wild", "made_at_ns": MADE_AT, "expires_at_ns": MADE_AT + HOUR, "nonce": "n",
    }  # fmt: skip
    payload = msgspec.json.encode(BrokenGlass(**usual | changes))
    return Recorded(f"approvals.glass.{by}.{verb}", payload, 1, MADE_AT)


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        (broken(by="stranger"), "not an operator"),
        (broken(by="greeter"), "not an operator"),
        (broken(agent="stranger"), "there is no agent stranger"),
        (Recorded("approvals.glass.ops.halt", b"{}", 1, MADE_AT), "break the glass"),
        (Recorded("approvals.glass.ops.halt", b'{"more": 1}', 1, MADE_AT), "break the glass"),
    ],
)
def test_only_an_operator_breaks_the_glass(record: Recorded, refusal: str) -> None:
    """Anything else is refused with its reason and changes nothing."""
    book = ledger()
    assert refusal in fed(book, record).refusal
    assert book.cases == {}


def test_broken_glass_is_reviewed_afterwards() -> None:
    """It is in force at the applier's word, by the strictest rule, and lasts no longer than the policy lets it."""
    book = ledger()
    made = fed(book, broken("revert", expires_at_ns=MADE_AT + 99 * HOUR)).case
    assert made is not None
    assert (made.state, made.proposal.kind, made.requirement.quorum) == ("broken", "revert", 2)
    assert made.expires_at_ns == MADE_AT + 4 * HOUR
    vote = f"{made.id} {made.digest}"
    assert "not in force yet" in fed(book, voted("ann", "approve", vote)).refusal
    fed(book, ended(made, "applied"))
    assert book.find(made.id).state == "in_force"
    fed(book, voted("ann", "approve", vote), voted("ben", "approve", vote, sequence=2))
    assert book.find(made.id).state == "confirmed"


def test_a_veto_lifts_broken_glass() -> None:
    """One reviewer is enough to have it undone."""
    book = ledger()
    made = fed(book, broken()).case
    assert made is not None
    fed(book, ended(made, "applied"), voted("ann", "reject", f"{made.id} no need"))
    assert (book.find(made.id).state, made.id in book.unsettled) == ("lifted", True)
    fed(book, ended(made, "overturned"))
    assert (book.find(made.id).state, made.id in book.unsettled) == ("overturned", False)


def test_a_change_of_the_rules_needs_both() -> None:
    """A policy that lowers its own quorum is decided by the old one; one that raises it by the new one too."""
    strict = rules(Policy(version="8", rules=(Rule(paths=("**",), quorum=3),)))
    book = ledger(rules(), Book(strict))
    made = fed(book, proposed(fleet_proposal(agent="", kind="policy"), by="ops")).case
    assert made is not None
    assert [panel.requirement.quorum for panel in made.panels] == [2, 3]
    vote = f"{made.id} {made.digest}"
    fed(book, voted("ann", "approve", vote), voted("ben", "approve", vote, sequence=2))
    assert book.find(made.id).state == "open"
    fed(book, voted("cem", "approve", vote, sequence=3))
    assert book.find(made.id).state == "approved"


def test_rules_that_cannot_be_read_are_never_approved() -> None:
    """Nobody can be asked under rules that are none."""
    book = ledger(rules(), Book(None))
    made = fed(book, proposed(fleet_proposal(agent="", kind="policy"), by="ops")).case
    assert made is not None
    vote = f"{made.id} {made.digest}"
    for number, reviewer in enumerate(["ann", "ben", "cem"], start=1):
        fed(book, voted(reviewer, "approve", vote, sequence=number))
    assert book.find(made.id).state == "open"


def test_a_protected_kind_is_strict_whatever_a_rule_says() -> None:
    """A lenient rule for fleet.yaml does not make an agent's authority cheap."""
    lenient = rules(Policy(version="9", rules=(Rule(paths=("**",), quorum=1), Rule(paths=("x",), quorum=3))))
    made = fed(ledger(lenient, Book(lenient)), proposed(fleet_proposal())).case
    assert made is not None
    assert made.requirement.quorum == 3
    assert "protected" in made.requirement.rule


def test_rules_hold_from_their_record_on() -> None:
    """A reviewer who is new votes on what came before; one who is gone counts no more, and no verdict is taken back."""
    book = ledger(rules(), Book(rules(), later=with_reviewers(ben={}, dora={})))
    fed(book, proposed(ONE.proposal), voted("ann", "approve", APPROVE))
    book.ended(in_force("later", at_ns=MADE_AT + 2))
    assert "not a reviewer" in fed(book, voted("ann", "revoke", ONE.id, sequence=2)).refusal
    fed(book, voted("dora", "approve", APPROVE, sequence=3))
    assert (book.find(ONE.id).state, book.find(ONE.id).approvals()) == ("open", 1)
    fed(book, voted("ben", "approve", APPROVE, sequence=4))
    assert book.find(ONE.id).verdict_sequence == 4


def test_rules_that_are_gone_stop_the_fold() -> None:
    """Judging by other rules than those on record would be guessing."""
    with pytest.raises(InvalidDocument, match="no commit gone"):
        ledger().ended(in_force("gone"))


def test_what_came_before_the_first_rules_is_judged_by_them() -> None:
    """A record that begins without rules gives the same verdict whatever is in the repository later."""
    first = with_reviewers(ann={}, ben={})
    book = Book(None, first=first)
    ledger = begin(with_reviewers(mallory={}), book, [(names.OUTCOMES, in_force("first", at_ns=MADE_AT + HOUR))])
    assert ledger.rules is first


def test_rules_that_arrive_late_have_everything_read_again() -> None:
    """The record's order decides, not the order of arrival."""
    book = ledger(rules(), Book(rules(), later=rules()))
    feed(book, names.PROPOSALS, proposed(ONE.proposal, at_ns=MADE_AT + 5))
    with pytest.raises(MissedRecord):
        feed(book, names.OUTCOMES, in_force("later", at_ns=MADE_AT + 4))
    feed(book, names.OUTCOMES, in_force("later", at_ns=MADE_AT + 6))


DIFF = "diff --git a/agent.yaml b/agent.yaml\n--- a/agent.yaml\n+++ b/agent.yaml\n@@ -1,2 +1,2 @@\n-a\n-b\n+c\n+d\n"
SMALL = rules(Policy(version="1", rules=(Rule(paths=("agents/**",), quorum=2), Rule(paths=("**",), max_lines=10))))


@pytest.mark.parametrize(("hours", "by", "quorums"), [(0, "greeter", [1, 1, 2]), (13, "greeter", [1, 1, 1])])
def test_many_small_changes_are_judged_by_their_union(hours: int, by: str, quorums: list[int]) -> None:
    """What one rule lets pass because it is small adds up within a day."""
    book = ledger(SMALL)
    found: list[Judgement] = [
        fed(book, proposed(proposal(nonce=str(n), diff=DIFF), sequence=n, at_ns=MADE_AT + n * hours * HOUR, by=by))
        for n in range(1, 4)
    ]
    assert [judgement.case.requirement.quorum for judgement in found if judgement.case] == quorums


def test_what_was_rejected_does_not_add_up() -> None:
    """Only what is open, approved or applied counts."""
    book = ledger(SMALL)
    for number in range(1, 4):
        about = proposal(nonce=str(number), diff=DIFF)
        made = fed(book, proposed(about, sequence=number)).case
        assert made is not None
        assert made.requirement.quorum == 1
        fed(book, voted("ann", "reject", f"{made.id} no", sequence=number))
