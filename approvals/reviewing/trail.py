"""What the approval service writes on the audit trail: each recorded message once, also across restarts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from approvals.verdict.fold import Judgement, Recorded, Rules, is_of_rules
from approvals.verdict.machine import Case, Evaluated
from bus.audit.emit import Audit
from bus.audit.event import Plain
from bus.files import replace_durably
from bus.trace import of_conversation
from schemas import names, subjects
from schemas.audit import Outcome
from schemas.errors import InvalidSubject


class Trail:
    """Tells of records. `file` keeps how far each stream is told and confirmed; losing it tells some twice, none never."""

    def __init__(self, audit: Audit, file: Path) -> None:
        self._audit = audit
        self._file = file
        self._rules: tuple[tuple[str, str], ...] = ()
        self._kept = msgspec.json.decode(file.read_bytes(), type=dict[str, int]) if file.exists() else {}
        self._told = dict(self._kept)

    def judged_by(self, rules: Rules) -> None:
        """Write down what proposals are judged by, at the start and when it is something else than before."""
        if rules.digests != self._rules:
            digests = dict(rules.digests)
            told = {"policy": digests.get("policy"), "fleet": digests.get("fleet")}
            self._audit.emit("policy.loaded", action="load", metadata=told)
            self._rules = rules.digests

    def has_told(self, stream: str, record: Recorded) -> bool:
        """Whether this or an earlier run wrote this record down."""
        return record.sequence <= self._told.get(stream, 0)

    def tell(self, stream: str, record: Recorded, judgement: Judgement) -> None:
        """Write down what became of a record.

        Raises:
            AuditUnavailable: the spool takes nothing now; nothing was written, tell it again.
        """
        if stream == names.PROPOSALS:
            self._tell_of_proposal(record, judgement)
        elif stream == names.DECISIONS:
            self._tell_of_vote(record, judgement)
        elif not is_of_rules(record):
            self._tell_of_outcome(judgement)
        self._told[stream] = record.sequence

    async def keep(self) -> None:
        """Wait until the trail has confirmed what was told, and remember that it is told.

        Raises:
            AuditUnavailable: it does not confirm; nothing that rests on a verdict should begin.
        """
        told = dict(self._told)
        await self._audit.confirm()
        if told != self._kept:
            replace_durably(self._file, msgspec.json.encode(told))
            self._kept = told

    def shown(self, case: Case, reader: str) -> None:
        """Somebody read the proposal."""
        self._emit("proposal.shown", case, action="show", actor=reader)

    def _tell_of_proposal(self, record: Recorded, judgement: Judgement) -> None:
        case, who = judgement.case, _who(record)
        family = record.subject.split(".")[1]
        if judgement.evaluated is not None:
            if judgement.is_new:
                self._tell_of_evaluation(judgement.evaluated, record)
        elif case is None or judgement.refusal:
            self._audit.emit(
                "proposal.refused", actor=who, action=_ACTIONS.get(family, family), outcome="denied",
                reason=judgement.refusal, payload=record.payload,
            )  # fmt: skip
        elif judgement.is_new and family == "withdraw":
            self._emit("proposal.decided", case, action="withdraw", actor=who, reason=case.note)
        elif judgement.is_new and family == "glass":
            self._emit("glass.broken", case, action=case.proposal.kind, actor=who, reason=case.proposal.rationale)
        elif judgement.is_new:
            self._emit("proposal.made", case, action="propose", actor=who)

    def _tell_of_evaluation(self, told: Evaluated, record: Recorded) -> None:
        about = told.evaluation
        self._audit.emit(
            "evaluation.recorded", actor=told.operator, action=about.way, payload=record.payload,
            resource=f"{about.agent}/{about.proposal}" if about.proposal else about.agent,
            outcome="success" if about.passed == about.cases else "failure",
            metadata={
                "suite": about.suite, "cases": about.cases, "passed": about.passed, "digest": about.digest,
                "cost_usd": about.cost_usd,
            },
        )  # fmt: skip

    def _tell_of_vote(self, record: Recorded, judgement: Judgement) -> None:
        review = subjects.Review.parse(record.subject)
        case = judgement.case
        if case is None:
            self._audit.emit(
                "proposal.vote_refused", actor=review.reviewer, action=review.verb, outcome="denied",
                reason=judgement.refusal, payload=record.payload, metadata={"decision": record.sequence},
            )  # fmt: skip
        elif judgement.is_new:
            said = case.votes[-1].vote.reason if case.votes else ""
            self._emit("proposal.voted", case, action=review.verb, actor=review.reviewer, reason=said)
            if case.verdict_sequence == record.sequence:
                self._emit("proposal.decided", case, action=case.state)

    def _tell_of_outcome(self, judgement: Judgement) -> None:
        case = judgement.case
        if case is not None and case.state == "expired":
            self._emit("proposal.decided", case, action="expire", outcome="failure", reason="nobody decided in time")

    def _emit(
        self, kind: str, case: Case, *, action: str, actor: str = "", outcome: Outcome = "success", reason: str = ""
    ) -> None:
        metadata: dict[str, Plain] = {
            "digest": case.digest, "kind": case.proposal.kind, "base": case.proposal.base,
            "tree": case.proposal.tree, "state": case.state, "risk": case.requirement.risk,
            "approvals": case.approvals(), "quorum": case.requirement.quorum, "verdict": case.verdict_sequence,
        }  # fmt: skip
        resource = f"{case.proposal.agent or 'fleet'}/{case.id}"
        self._audit.emit(
            kind, actor=actor, action=action, resource=resource, outcome=outcome, reason=reason, metadata=metadata,
            trace=of_conversation(case.proposal.correlation),
        )  # fmt: skip


_ACTIONS = {"glass": "break glass"}


def _who(record: Recorded) -> str:
    """The token of the subject that says who sent it; a subject that no sender can publish has none."""
    for family, field in (
        (subjects.Propose, "proposer"),
        (subjects.Withdraw, "proposer"),
        (subjects.BreakGlass, "operator"),
        (subjects.Evaluate, "operator"),
    ):
        try:
            return str(getattr(family.parse(record.subject), field))
        except InvalidSubject:
            continue
    return ""
