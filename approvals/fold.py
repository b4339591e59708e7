"""All proposals, as a fold over the streams PROPOSALS, DECISIONS and OUTCOMES, and over nothing else.

Used by the approval service to show and count, and by the applier, on its own connection and consumers,
to derive the verdict again. The streams are what the server recorded, with subjects that only their
senders can publish; the live message is never believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from approvals.errors import IllegalStep
from approvals.machine import Case, Cast, with_outcome, with_vote
from approvals.policy import Requirement, requirement
from schemas import subjects
from schemas.approvals import VOTING_VERBS, OutcomeRecord, Proposal, decode_proposal, name_of, parse_vote
from schemas.errors import UNREADABLE, InvalidDocument, InvalidSubject
from schemas.fleet import Fleet
from schemas.policy import Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force: the policy, and who is a reviewer of which groups."""

    policy: Policy
    fleet: Fleet

    def requirement(self, proposal: Proposal) -> Requirement:
        """What this proposal needs."""
        return requirement(self.policy, proposal.agent, proposal.kind, [file.path for file in proposal.files])


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


@dataclass(slots=True)
class Ledger:
    """Every proposal by id. Feed it each recorded message once and in stream order."""

    rules: Rules
    """In force for what is fed next; whoever feeds it keeps this current."""
    cases: dict[str, Case] = field(default_factory=dict)

    def find(self, proposal: str) -> Case:
        """The case of that id.

        Raises:
            IllegalStep: there is none.
        """
        try:
            return self.cases[proposal]
        except KeyError:
            raise IllegalStep(f"there is no proposal {proposal}; approvals.list shows those that are open") from None

    def proposed(self, record: Recorded) -> Judgement:
        """A message of stream PROPOSALS."""
        agent = subjects.Propose.parse(record.subject).agent
        try:
            proposal, digest = decode_proposal(record.payload)
        except InvalidDocument as error:
            return Judgement(None, str(error))
        if proposal.agent != agent:
            return Judgement(
                None, f"{agent} proposes a change to {proposal.agent}; an agent may only propose for itself"
            )
        if not proposal.files:
            return Judgement(None, "the proposal changes nothing")
        known = self.cases.get(name_of(digest))
        if known is not None:
            return self._again(known, digest)
        latest_ns = record.at_ns + self.rules.policy.decide_within_s * 1_000_000_000
        case = Case(
            id=name_of(digest), digest=digest, proposal=proposal, sequence=record.sequence, at_ns=record.at_ns,
            expires_at_ns=max(record.at_ns, min(proposal.expires_at_ns, latest_ns)),
            state="open", requirement=self.rules.requirement(proposal),
        )  # fmt: skip
        self.cases[case.id] = case
        return Judgement(case)

    def _again(self, known: Case, digest: str) -> Judgement:
        if known.digest != digest:
            return Judgement(None, "another proposal has the same short id; change anything and propose again")
        return Judgement(known, is_new=False)

    def voted(self, record: Recorded) -> Judgement:
        """A message of stream DECISIONS."""
        try:
            subject = subjects.Review.parse(record.subject)
            verb = next((verb for verb in VOTING_VERBS if verb == subject.verb), None)
            if verb is None:
                return Judgement(None, f"{subject.verb} is not a vote")
            vote = parse_vote(verb, record.payload)
            case = self.find(vote.proposal)
            reviewer = self.rules.fleet.reviewers.get(subject.reviewer)
            if reviewer is None:
                raise IllegalStep(f"{subject.reviewer} is not a reviewer of this fleet")
            cast = Cast(subject.reviewer, vote, record.sequence, record.at_ns)
            after = with_vote(case, cast, frozenset(reviewer.groups))
        except (IllegalStep, InvalidDocument, InvalidSubject) as error:
            return Judgement(None, str(error))
        self.cases[after.id] = after
        return Judgement(after, is_new=after is not case)

    def ended(self, record: Recorded) -> Judgement:
        """A message of stream OUTCOMES."""
        try:
            outcome = msgspec.json.decode(record.payload, type=OutcomeRecord)
            case = self.find(outcome.proposal)
            if case.digest != outcome.digest:
                raise IllegalStep("the outcome names another digest")
            # Policy may have changed since; that it was acted upon is a fact, so it is not judged again.
            approved = replace(case, state="approved") if case.state in {"open", "expired"} else case
            after = with_outcome(approved, outcome.result, outcome.reason)
        except (IllegalStep, *UNREADABLE) as error:
            return Judgement(None, str(error))
        self.cases[after.id] = after
        return Judgement(after)
