"""What a reviewer typed, and answers as JSON for those who ask with `-H Accept:application/json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import msgspec

from approvals.reviewing import render
from approvals.verdict.machine import FINAL, Case
from approvals.verdict.panel import Panel
from bus.connection import Msg
from schemas.approvals import Standing
from schemas.ids import rfc3339
from schemas.subjects import Review


@dataclass(frozen=True, slots=True)
class Asked:
    """A reviewer's message: who (the server's word), which verb, and the words of the body."""

    reviewer: str
    verb: str
    words: list[str]
    wants_json: bool

    @classmethod
    def read(cls, message: Msg) -> Self:
        """Read a message that arrived on `approvals.review.<reviewer>.<verb>`."""
        subject = Review.parse(message.subject)
        accept = message.lowered.get("accept", "")
        words = message.data.decode("utf-8", "replace").split(maxsplit=2)
        return cls(subject.reviewer, subject.verb, words, "application/json" in accept)

    def refusal(self, problem: str, hint: str) -> str:
        """A refusal in the form that was asked for."""
        return refusal(problem, hint) if self.wants_json else render.error(problem, hint)


def refusal(problem: str, hint: str) -> str:
    """A refusal as JSON."""
    return msgspec.json.encode({"error": problem, "try": hint}).decode() + "\n"


def standing(case: Case) -> Standing:
    """What a proposer is told of it."""
    return Standing(
        proposal=case.id, digest=case.digest, agent=case.proposal.agent, kind=case.proposal.kind,
        proposer=case.proposer, state=case.state, is_final=case.state in FINAL, approvals=case.approvals(),
        quorum=case.requirement.quorum, proposed_at_ns=case.at_ns, expires_at_ns=case.expires_at_ns,
        rationale=case.proposal.rationale, note=case.note, commit=case.commit, until_ns=case.until_ns,
    )  # fmt: skip


def as_json(*cases: Case, many: bool = False) -> str:
    """One case as a JSON object, or `many` as an array; everything a reviewer's own tool needs, the diff included."""
    plain = [_plain(case) for case in cases]
    return msgspec.json.encode(plain if many else plain[0]).decode() + "\n"


def _panel(panel: Panel, approving: frozenset[str]) -> dict[str, Any]:
    needed = panel.requirement
    return {
        "rule": needed.rule,
        "approvals": panel.approvals(approving),
        "quorum": needed.quorum,
        "groups": sorted(needed.groups),
        "may_vote": sorted(panel.people),
    }


def _plain(case: Case) -> dict[str, Any]:
    votes = [
        {"reviewer": c.reviewer, "verb": c.vote.verb, "reason": c.vote.reason, "time": rfc3339(c.at_ns)}
        for c in case.votes
    ]
    return {
        "id": case.id,
        "digest": case.digest,
        "state": case.state,
        "proposer": case.proposer,
        "proposed": rfc3339(case.at_ns),
        "expires": rfc3339(case.expires_at_ns),
        "approvals": case.approvals(),
        "quorum": case.requirement.quorum,
        "risk": case.requirement.risk,
        "votes": votes,
        "rules": [_panel(panel, case.approving()) for panel in case.panels],
        "checks": case.checks,
        "evaluations": [
            {"operator": told.operator, "time": rfc3339(told.at_ns), **msgspec.to_builtins(told.evaluation)}
            for told in case.evaluations
        ],
        "flags": list(case.flags),
        "note": case.note,
        "commit": case.commit,
        "proposal": msgspec.to_builtins(case.proposal),
    }
