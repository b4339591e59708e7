"""Proposals, votes and rules made briefly, for tests of the approvals layer."""

from __future__ import annotations

from typing import Any

import msgspec

from approvals.verdict.fold import Recorded, Rules
from approvals.verdict.machine import Case, Cast
from approvals.verdict.panel import Panel, panel_of
from approvals.verdict.policy import Requirement
from schemas.approvals import ChangedFile, OutcomeRecord, Proposal, RulesRecord, Vote, VotingVerb, name_of
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.ids import sha256_hex
from schemas.policy import Policy, Rule

HOUR = 3600 * 1_000_000_000
MADE_AT = 1_790_000_000 * 1_000_000_000
FILES = (ChangedFile(path="agent.yaml", mode="100644", sha256="ab" * 32),)
FLEET = Fleet.model_validate(
    {
        "name": "test",
        "agents": {"greeter": {}, "other": {}},
        "operators": ["ops"],
        "reviewers": {"ann": {}, "ben": {}, "cem": {"groups": ["guests"]}},
    }
)
POLICY = Policy(version="7", rules=(Rule(paths=("agents/**",), quorum=2, groups=("staff",)),), max_open_per_agent=2)


def proposal(**changes: Any) -> Proposal:
    """A proposal of the greeter."""
    usual: dict[str, Any] = {
        "agent": "greeter", "kind": "config", "base": "1" * 40, "tree": "2" * 40, "diff": "", "files": FILES,
        "rationale": "because", "made_at_ns": MADE_AT, "expires_at_ns": MADE_AT + 24 * HOUR, "nonce": "n",
    }  # fmt: skip
    return Proposal(**usual | changes)


def case(about: Proposal | None = None, **changes: Any) -> Case:
    """An open case that needs two reviewers of `staff`."""
    about = about or proposal()
    digest = sha256_hex(msgspec.json.encode(about))
    usual: dict[str, Any] = {
        "id": name_of(digest), "digest": digest, "proposer": "greeter", "proposal": about, "sequence": 1,
        "at_ns": MADE_AT, "expires_at_ns": MADE_AT + 24 * HOUR, "state": "open", "panels": (panel(),),
    }  # fmt: skip
    return Case(**usual | changes)


def panel(
    quorum: int = 2, *groups: str, risk: Any = "low", rule: str = "policy 7: rule 1, agents/**", fleet: Fleet = FLEET
) -> Panel:
    """Reviewers of these groups, or of staff."""
    needed = Requirement(quorum=quorum, groups=frozenset(groups or ("staff",)), risk=risk, rule=rule)
    return panel_of(fleet, needed, "greeter")


def cast(
    verb: VotingVerb,
    reviewer: str,
    about: Case,
    *,
    sequence: int = 1,
    at_ns: int = MADE_AT,
    reason: str = "",
    **vote: str,
) -> Cast:
    """A vote of `reviewer` on `about`, with the right digest unless another is given."""
    given = Vote(verb=verb, proposal=about.id, digest=vote.get("digest", about.digest), reason=reason)
    return Cast(reviewer, given, sequence, at_ns)


def rules(policy: Policy = POLICY, fleet: Fleet = FLEET) -> Rules:
    """The rules in force."""
    return Rules(policy, fleet)


class Book:
    """Rules by the commit in a record; `new` are those that any change of the fleet's files would bring."""

    def __init__(self, new: Rules | None = None, **known: Rules) -> None:
        self._new = new
        self._known = known

    def at(self, record: RulesRecord) -> Rules:
        """See `approvals.verdict.fold.Rulebook`."""
        try:
            return self._known[record.commit]
        except KeyError:
            raise InvalidDocument(f"no commit {record.commit}") from None

    def after(self, proposal: Proposal) -> Rules | None:
        """See `approvals.verdict.fold.Rulebook`."""
        return self._new


def in_force(commit: str, *, sequence: int = 1, at_ns: int = MADE_AT) -> Recorded:
    """A record of OUTCOMES that says which rules are in force."""
    payload = msgspec.json.encode(RulesRecord(commit=commit, policy="", fleet=""))
    return Recorded("approvals.outcome.rules", payload, sequence, at_ns)


def proposed(about: Proposal, *, sequence: int = 1, at_ns: int = MADE_AT, by: str = "greeter") -> Recorded:
    """A record of PROPOSALS."""
    return Recorded(f"approvals.propose.{by}", msgspec.json.encode(about), sequence, at_ns)


def voted(reviewer: str, verb: str, body: str, *, sequence: int = 1, at_ns: int = MADE_AT + 1) -> Recorded:
    """A record of DECISIONS: what the reviewer typed."""
    return Recorded(f"approvals.review.{reviewer}.{verb}", body.encode(), sequence, at_ns)


def ended(about: Case, result: str = "applied", *, sequence: int = 1, **changes: Any) -> Recorded:
    """A record of OUTCOMES."""
    usual: dict[str, Any] = {
        "proposal": about.id, "digest": about.digest, "result": result, "reason": "r", "verdict_sequence": 1,
    }  # fmt: skip
    payload = msgspec.json.encode(OutcomeRecord(**usual | changes))
    return Recorded(f"approvals.outcome.{about.id}", payload, sequence, MADE_AT + 2)
