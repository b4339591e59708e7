"""A proposal's life as a table, and the state of one proposal as a fold over what the server recorded.

Nothing here reads a clock or a file: the times are the server's own stamps, so every replay of the same
streams gives the same states. A step that the table does not have raises and changes nothing.

    open ──quorum──▶ approved ──applied──▶ applied
     │ ├──veto─────▶ rejected     ├──rolled_back──▶ rolled_back
     │ └──expired──▶ expired      └──refused──▶ refused
     └────refused──▶ refused

`invalid` is how an open proposal is *shown* that could not be applied as things stand; no fold gives it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from approvals.errors import IllegalStep
from approvals.policy import Requirement
from schemas.approvals import Proposal, Vote

State = Literal["open", "invalid", "approved", "rejected", "expired", "applied", "rolled_back", "refused"]
Step = Literal["vote", "quorum", "veto", "expired", "applied", "rolled_back", "refused"]

TRANSITIONS: dict[tuple[State, Step], State] = {
    ("open", "vote"): "open",
    ("open", "quorum"): "approved",
    ("open", "veto"): "rejected",
    ("open", "expired"): "expired",
    ("open", "refused"): "refused",
    ("approved", "applied"): "applied",
    ("approved", "rolled_back"): "rolled_back",
    ("approved", "refused"): "refused",
}
FINAL: frozenset[State] = frozenset({"invalid", "rejected", "expired", "applied", "rolled_back", "refused"})


@dataclass(frozen=True, slots=True)
class Cast:
    """A vote that counts: what, by whom, where it stands in DECISIONS, and the server's time of it."""

    reviewer: str
    vote: Vote
    sequence: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Case:
    """One proposal with all that happened to it. `verdict_sequence` is the vote that decided, 0 before."""

    id: str
    digest: str
    proposal: Proposal
    sequence: int
    at_ns: int
    expires_at_ns: int
    state: State
    requirement: Requirement
    votes: tuple[Cast, ...] = ()
    verdict_sequence: int = 0
    note: str = ""

    def live_votes(self) -> dict[str, Cast]:
        """The vote in force of each reviewer, the last one."""
        return {cast.reviewer: cast for cast in self.votes}

    def approvals(self) -> int:
        """How many distinct reviewers approve now."""
        return sum(cast.vote.verb == "approve" for cast in self.live_votes().values())


def step(state: State, name: Step) -> State:
    """The state after `name`.

    Raises:
        IllegalStep: there is no such transition.
    """
    try:
        return TRANSITIONS[state, name]
    except KeyError:
        raise IllegalStep(f"the proposal is {state}; there is nothing left to {_plain(name)}") from None


def _plain(name: Step) -> str:
    return "decide" if name in {"vote", "quorum", "veto", "expired"} else "apply"


def with_vote(case: Case, cast: Cast, groups: frozenset[str]) -> Case:
    """The case after `cast`; `groups` are the reviewer's. An identical vote again changes nothing.

    Raises:
        IllegalStep: the state, the digest, the reviewer's group, the expiry or an earlier revocation
            forbids it; the message says which, for the reviewer.
    """
    earlier = case.live_votes().get(cast.reviewer)
    if earlier is not None and earlier.vote == cast.vote:
        return case
    _require_allowed(case, cast, groups, earlier)
    voted = replace(case, votes=(*case.votes, cast), state=step(case.state, "vote"))
    return _judged(voted, cast)


def _require_allowed(case: Case, cast: Cast, groups: frozenset[str], earlier: Cast | None) -> None:
    step(case.state, "vote")
    if cast.at_ns > case.expires_at_ns:
        raise IllegalStep("the proposal has expired; the agent has to propose again")
    if cast.vote.digest and cast.vote.digest != case.digest:
        raise IllegalStep("the digest is not this proposal's; read it again with approvals.show")
    if case.requirement.groups and not case.requirement.groups & groups:
        wanted = ", ".join(sorted(case.requirement.groups))
        raise IllegalStep(f"{case.requirement.rule} lets only reviewers of {wanted} vote")
    if earlier is not None and earlier.vote.verb == "revoke":
        # A copy of an old vote may be delivered again; if it could undo a revocation, it would be a forgery.
        raise IllegalStep("you revoked your vote on this proposal; that is final")
    if cast.vote.verb == "revoke" and earlier is None:
        raise IllegalStep("you have no vote on this proposal to revoke")


def _judged(case: Case, cast: Cast) -> Case:
    if cast.vote.verb == "reject":
        return replace(case, state=step(case.state, "veto"), verdict_sequence=cast.sequence, note=cast.vote.reason)
    if case.approvals() >= case.requirement.quorum:
        return replace(case, state=step(case.state, "quorum"), verdict_sequence=cast.sequence)
    return case


def at_time(case: Case, now_ns: int) -> Case:
    """The case as it stands at `now_ns`: an open proposal whose time is over has expired."""
    if case.state == "open" and now_ns > case.expires_at_ns:
        return replace(case, state=step(case.state, "expired"))
    return case


def with_outcome(case: Case, result: Literal["applied", "rolled_back", "refused"], reason: str) -> Case:
    """The case after the applier's report.

    Raises:
        IllegalStep: it was not approved, or has an outcome already.
    """
    return replace(case, state=step(case.state, result), note=reason)
