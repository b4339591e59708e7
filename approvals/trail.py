"""What the approval service writes on the audit trail: each recorded message once, also across restarts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from approvals.fold import Judgement, Recorded
from approvals.machine import Case
from bus.audit.emit import Audit
from schemas import names, subjects
from schemas.audit import Outcome


class Trail:
    """Tells of records. `file` keeps how far each stream has been told; losing it tells some twice, none never."""

    def __init__(self, audit: Audit, file: Path) -> None:
        self._audit = audit
        self._file = file
        self._told: dict[str, int] = msgspec.json.decode(file.read_bytes()) if file.exists() else {}

    def has_told(self, stream: str, record: Recorded) -> bool:
        """Whether this or an earlier run wrote this record down."""
        return record.sequence <= self._told.get(stream, 0)

    def tell(self, stream: str, record: Recorded, judgement: Judgement) -> None:
        """Write down what became of a record."""
        if stream == names.PROPOSALS:
            self._tell_of_proposal(record, judgement)
        elif stream == names.DECISIONS:
            self._tell_of_vote(record, judgement)
        self._mark(stream, record.sequence)

    def expired(self, case: Case) -> None:
        """Nobody decided in time."""
        self._emit("proposal.decided", case, action="expire", outcome="failure", reason="nobody decided in time")

    def shown(self, case: Case, reviewer: str) -> None:
        """A reviewer read the proposal."""
        self._emit("proposal.shown", case, action="show", actor=reviewer)

    def _tell_of_proposal(self, record: Recorded, judgement: Judgement) -> None:
        agent = subjects.Propose.parse(record.subject).agent
        if judgement.case is not None and not judgement.refusal:
            if judgement.is_new:
                self._emit("proposal.made", judgement.case, action="propose", actor=agent)
            return
        self._audit.emit(
            "proposal.refused", actor=agent, action="propose", outcome="denied", reason=judgement.refusal,
            payload=record.payload,
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
            self._emit("proposal.voted", case, action=review.verb, actor=review.reviewer)
            if case.verdict_sequence == record.sequence:
                self._emit("proposal.decided", case, action=case.state)

    def _emit(
        self, kind: str, case: Case, *, action: str, actor: str = "", outcome: Outcome = "success", reason: str = ""
    ) -> None:
        metadata: dict[str, str | int | float | bool] = {
            "digest": case.digest, "kind": case.proposal.kind, "tree": case.proposal.tree, "state": case.state,
            "approvals": case.approvals(), "quorum": case.requirement.quorum, "verdict": case.verdict_sequence,
        }  # fmt: skip
        resource = f"{case.proposal.agent}/{case.id}"
        self._audit.emit(
            kind, actor=actor, action=action, resource=resource, outcome=outcome, reason=reason, metadata=metadata
        )

    def _mark(self, stream: str, sequence: int) -> None:
        self._told[stream] = sequence
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._told))
        fresh.replace(self._file)
