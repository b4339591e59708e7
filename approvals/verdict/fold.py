"""All proposals, as a fold over the streams PROPOSALS, DECISIONS and OUTCOMES, and over nothing else.

Used by the approval service to show and count, and by the applier, on its own connection and consumers,
to derive the verdict again. The streams are what the server recorded, with subjects that only their
senders can publish; the live message is never believed. The rules too are on record: each is judged by those
that were in force when the server stored it, so a replay in a year gives the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from approvals.errors import IllegalStep
from approvals.verdict.lines import changed_lines
from approvals.verdict.machine import FINAL, Case, Cast, Evaluated, with_outcome, with_vote, withdrawn
from approvals.verdict.panel import NOBODY, Panel, panel_of
from approvals.verdict.policy import Change, requirement
from approvals.verdict.who import problem_of_proposer
from schemas import subjects
from schemas.approvals import (
    VOTING_VERBS,
    BrokenGlass,
    Evaluation,
    GlassVerb,
    OutcomeRecord,
    Proposal,
    Result,
    RulesRecord,
    decode_proposal,
    name_of,
    parse_vote,
    parse_withdrawal,
)
from schemas.errors import UNREADABLE, InvalidDocument, InvalidSubject
from schemas.fleet import Fleet
from schemas.ids import sha256_hex
from schemas.policy import Policy

_DAY_NS = 24 * 3600 * 1_000_000_000
_ADDS_UP = frozenset({"open", "approved", "applied", "allowed"})
"""States of a proposal whose changes are, or may come to be, live."""
_S = 1_000_000_000
_EVALUATIONS = 10
"""How many of a proposal are kept."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force: the policy, and who is a reviewer of which groups."""

    policy: Policy
    fleet: Fleet
    digests: tuple[tuple[str, str], ...] = ()
    """Name of each file that they were read from, and its SHA-256."""

    def panel(self, change: Change, proposer: str) -> Panel:
        """Who may vote on this change, and what that takes."""
        return panel_of(self.fleet, requirement(self.policy, change), proposer)


class Rulebook(Protocol):
    """Where rules are read: from git, by what is in a record."""

    def at(self, record: RulesRecord) -> Rules:
        """The rules that a record names. Raises InvalidDocument when they cannot be had."""

    def after(self, proposal: Proposal) -> Rules | None:
        """The rules that a change of the fleet's own files would bring, None when it brings none that can be read."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message as the server stored it."""

    subject: str
    payload: bytes
    sequence: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one recorded message: the case after it, and why it was refused, if it was."""

    case: Case | None
    refusal: str = ""
    is_new: bool = True
    evaluated: Evaluated | None = None
    """The evaluation that the message was; it may be about no case."""


@dataclass(slots=True)
class Ledger:
    """Every proposal by id. Feed it each recorded message once and in stream order."""

    rules: Rules
    """In force for what is fed next."""
    rulebook: Rulebook
    cases: dict[str, Case] = field(default_factory=dict)
    unsettled: dict[str, Case] = field(default_factory=dict)
    """Those with which something is still going to happen."""
    are_rules_on_record: bool = False
    """Whether a record said which rules are in force; else they are those of the repository."""
    latest_ns: int = 0
    """When the server stored what was fed last."""
    _adding: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By proposer and agent: the proposals whose lines add up with those that come after, oldest first."""

    def find(self, proposal: str) -> Case:
        """The case of that id.

        Raises:
            IllegalStep: there is none.
        """
        try:
            return self.cases[proposal]
        except KeyError:
            raise IllegalStep(f"there is no proposal {proposal}; approvals.list shows those that are open") from None

    def put(self, case: Case) -> Case:
        """Keep the case as it is now."""
        self.cases[case.id] = case
        if case.state in FINAL:
            self.unsettled.pop(case.id, None)
        else:
            self.unsettled[case.id] = case
        return case

    # -- stream PROPOSALS --------------------------------------------------------------------------------

    def proposed(self, record: Recorded) -> Judgement:
        """A message of stream PROPOSALS: a proposal, one that is taken back, broken glass, or an evaluation."""
        handlers = {
            "propose": self._made,
            "withdraw": self._taken_back,
            "glass": self._broken,
            "evaluate": self._evaluated,
        }
        try:
            return handlers[record.subject.split(".")[1]](record)
        except (IllegalStep, InvalidDocument, InvalidSubject) as error:
            return Judgement(None, str(error))

    def _made(self, record: Recorded) -> Judgement:
        proposer = subjects.Propose.parse(record.subject).proposer
        proposal, digest = decode_proposal(record.payload)
        problem = problem_of_proposer(self.rules.fleet, proposer, proposal)
        if problem:
            return Judgement(None, problem)
        latest_ns = record.at_ns + self.rules.policy.decide_within_s * _S
        return self._begun(
            Case(
                id=name_of(digest), digest=digest, proposer=proposer, proposal=proposal, sequence=record.sequence,
                at_ns=record.at_ns, expires_at_ns=max(record.at_ns, min(proposal.expires_at_ns, latest_ns)),
                state="open", panels=(),
            )
        )  # fmt: skip

    def _broken(self, record: Recorded) -> Judgement:
        subject = subjects.BreakGlass.parse(record.subject)
        verb: GlassVerb = "halt" if subject.verb == "halt" else "revert"
        glass = _decoded(record.payload, BrokenGlass, "a request to break the glass")
        if subject.operator not in self.rules.fleet.operators:
            return Judgement(None, f"{subject.operator} is not an operator of this fleet")
        if glass.agent not in self.rules.fleet.agents:
            return Judgement(None, f"there is no agent {glass.agent} in this fleet")
        digest = sha256_hex(record.payload)
        latest_ns = record.at_ns + self.rules.policy.glass_within_s * _S
        return self._begun(
            Case(
                id=name_of(digest), digest=digest, proposer=subject.operator, proposal=_as_proposal(verb, glass),
                sequence=record.sequence, at_ns=record.at_ns, state="broken", panels=(),
                expires_at_ns=max(record.at_ns, min(glass.expires_at_ns, latest_ns)),
            )
        )  # fmt: skip

    def _begun(self, case: Case) -> Judgement:
        known = self.cases.get(case.id)
        if known is not None and (known.digest, known.proposer) != (case.digest, case.proposer):
            return Judgement(None, "another proposal has the same short id; change anything and propose again")
        if known is not None:
            return Judgement(known, is_new=False)
        begun = self.put(replace(case, panels=self._panels(case)))
        self._adding.setdefault((case.proposer, case.proposal.agent), []).append(case.id)
        return Judgement(begun)

    def _taken_back(self, record: Recorded) -> Judgement:
        proposer = subjects.Withdraw.parse(record.subject).proposer
        proposal, reason = parse_withdrawal(record.payload)
        case = self.find(proposal)
        if case.state == "withdrawn" and case.proposer == proposer:
            return Judgement(case, is_new=False)
        return Judgement(self.put(withdrawn(case, proposer, reason)))

    def _evaluated(self, record: Recorded) -> Judgement:
        operator = subjects.Evaluate.parse(record.subject).operator
        evaluation = _decoded(record.payload, Evaluation, "an evaluation")
        if operator not in self.rules.fleet.operators:
            return Judgement(None, f"{operator} is not an operator of this fleet")
        if evaluation.agent not in self.rules.fleet.agents:
            return Judgement(None, f"there is no agent {evaluation.agent} in this fleet")
        told = Evaluated(operator, evaluation, record.at_ns)
        if not evaluation.proposal:
            return Judgement(None, evaluated=told)
        case = self.find(evaluation.proposal)
        if (case.digest, case.proposal.agent) != (evaluation.digest, evaluation.agent):
            raise IllegalStep(f"the evaluation is not of {case.id}: it names another digest or agent")
        if any(known.evaluation == evaluation for known in case.evaluations):
            return Judgement(case, is_new=False, evaluated=told)
        kept = (*case.evaluations, told)[-_EVALUATIONS:]
        return Judgement(self.put(replace(case, evaluations=kept)), evaluated=told)

    # -- who decides -------------------------------------------------------------------------------------

    def _panels(self, case: Case) -> tuple[Panel, ...]:
        """Under the rules in force, and for a change of the rules under the new ones too."""
        change = Change(case.proposal.kind, self._lines(case))
        panels = (self.rules.panel(change, case.proposer),)
        if not case.proposal.is_of_fleet:
            return panels
        new = self.rulebook.after(case.proposal)
        return (*panels, new.panel(change, case.proposer) if new is not None else NOBODY)

    def _lines(self, case: Case) -> dict[str, int]:
        """Changed lines at each path of the case, with those of the proposer's other changes of the last day."""
        paths = changed_lines(case.proposal)
        for other in self._of_the_day(case):
            for path, lines in changed_lines(other.proposal).items():
                if path in paths:
                    paths[path] += lines
        return paths

    def _of_the_day(self, case: Case) -> Iterator[Case]:
        same = self._adding.get((case.proposer, case.proposal.agent), [])
        # What ended without being live never counts again, so it need not be looked at again.
        same[:] = [known for known in same if self.cases[known].state in _ADDS_UP]
        for known in reversed(same):
            other = self.cases[known]
            if other.at_ns < case.at_ns - _DAY_NS:
                return
            if other.sequence < case.sequence:
                yield other

    # -- stream DECISIONS --------------------------------------------------------------------------------

    def voted(self, record: Recorded) -> Judgement:
        """A message of stream DECISIONS."""
        try:
            subject = subjects.Review.parse(record.subject)
            verb = next((verb for verb in VOTING_VERBS if verb == subject.verb), None)
            if verb is None:
                return Judgement(None, f"{subject.verb} is not a vote")
            vote = parse_vote(verb, record.payload)
            case = self.find(vote.proposal)
            if subject.reviewer not in self.rules.fleet.reviewers:
                raise IllegalStep(f"{subject.reviewer} is not a reviewer of this fleet")
            cast = Cast(subject.reviewer, vote, record.sequence, record.at_ns)
            after = with_vote(case, cast, self._panels(case))
            if after.state == "allowed" and after is not case:
                after = replace(after, until_ns=record.at_ns + self.rules.policy.apply_within_s * _S)
        except (IllegalStep, InvalidDocument, InvalidSubject) as error:
            return Judgement(None, str(error))
        return Judgement(self.put(after), is_new=after is not case)

    # -- stream OUTCOMES ---------------------------------------------------------------------------------

    def ended(self, record: Recorded) -> Judgement:
        """A message of stream OUTCOMES: what the applier did, or the rules that are in force from here on.

        Raises:
            InvalidDocument: the rules that it names cannot be had, so nothing more can be judged.
        """
        if is_of_rules(record):
            self.rules = self.rulebook.at(_decoded(record.payload, RulesRecord, "a record of rules"))
            self.are_rules_on_record = True
            return Judgement(None)
        try:
            outcome = _decoded(record.payload, OutcomeRecord, "an outcome")
            case = self.find(outcome.proposal)
            if case.digest != outcome.digest:
                raise IllegalStep("the outcome names another digest")
            before = _as_acted_upon(case, outcome.result)
            after = with_outcome(before, outcome.result, outcome.reason, outcome.commit)
        except (IllegalStep, InvalidDocument) as error:
            return Judgement(None, str(error))
        return Judgement(self.put(after))


def is_of_rules(record: Recorded) -> bool:
    """Whether a message of OUTCOMES says which rules are in force."""
    return record.subject == str(subjects.Outcome(subjects.RULES))


def first_rules(records: Iterable[Recorded]) -> RulesRecord | None:
    """The rules that the first record of them names: what came before it is judged by them too."""
    found = next((record for record in records if is_of_rules(record)), None)
    return _decoded(found.payload, RulesRecord, "a record of rules") if found else None


def _as_acted_upon(case: Case, result: Result) -> Case:
    """What the applier acted upon is a fact; the clocks of others, or their rules, do not judge it again."""
    if case.state in {"open", "expired"} and result in {"applied", "rolled_back"}:
        return replace(case, state="approved")
    if case.state == "expired" and result == "expired":
        return replace(case, state="open")
    if case.state == "in_force" and result == "overturned":
        return replace(case, state="lifted")
    return case


def _as_proposal(verb: GlassVerb, glass: BrokenGlass) -> Proposal:
    return Proposal(
        agent=glass.agent, kind=verb, base="", tree="", diff="", files=(), rationale=glass.reason,
        made_at_ns=glass.made_at_ns, expires_at_ns=glass.expires_at_ns, nonce=glass.nonce,
    )  # fmt: skip


def _decoded[T](payload: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except UNREADABLE as error:
        raise InvalidDocument(f"not {what}: {error}") from None
