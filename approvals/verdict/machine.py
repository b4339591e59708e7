"""A proposal's life as a table, and the state of one proposal as a fold over what the server recorded.

Nothing here reads a clock or a file: the times are the server's own stamps, so every replay of the same
streams gives the same states. A step that the table does not have raises and changes nothing.

    open ──quorum──▶ approved ──applied──▶ applied
     │ ├──veto─────▶ rejected     ├──rolled_back──▶ rolled_back
     │ ├──withdrawn▶ withdrawn    └──refused──▶ refused
     │ └──expired──▶ expired
     ├────refused──▶ refused
     └────granted──▶ allowed      a call of a tool: nothing is applied, and what was decided is the end

Where an operator broke the glass, the step comes first and the people after it:

    broken ──applied──▶ in_force ──quorum──▶ confirmed
       └─────refused──▶ refused  ├──veto─────▶ lifted ──overturned──▶ overturned
                                 └──expired──▶ lifted

`invalid` is how an open proposal is *shown* that could not be applied as things stand; no fold gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from approvals.errors import IllegalStep
from approvals.verdict.panel import Panel
from approvals.verdict.policy import Requirement
from schemas.approvals import Evaluation, Proposal, Result, Vote

State = Literal[
    "open", "invalid", "approved", "rejected", "withdrawn", "expired", "applied", "rolled_back", "refused",
    "broken", "in_force", "confirmed", "lifted", "overturned", "allowed",
]  # fmt: skip
Step = Literal[
    "vote", "quorum", "granted", "veto", "withdrawn", "expired", "applied", "rolled_back", "refused", "overturned"
]  # fmt: skip

TRANSITIONS: dict[tuple[State, Step], State] = {
    ("open", "vote"): "open",
    ("open", "quorum"): "approved",
    ("open", "granted"): "allowed",
    ("open", "veto"): "rejected",
    ("open", "withdrawn"): "withdrawn",
    ("open", "expired"): "expired",
    ("open", "refused"): "refused",
    ("approved", "applied"): "applied",
    ("approved", "rolled_back"): "rolled_back",
    ("approved", "refused"): "refused",
    ("broken", "applied"): "in_force",
    ("broken", "refused"): "refused",
    ("in_force", "vote"): "in_force",
    ("in_force", "quorum"): "confirmed",
    ("in_force", "veto"): "lifted",
    ("in_force", "expired"): "lifted",
    ("lifted", "overturned"): "overturned",
}
FINAL: frozenset[State] = frozenset(
    {
        "invalid",
        "rejected",
        "withdrawn",
        "expired",
        "applied",
        "rolled_back",
        "refused",
        "confirmed",
        "overturned",
        "allowed",
    }
)
VOTABLE: frozenset[State] = frozenset(state for state, step in TRANSITIONS if step == "vote")


@dataclass(frozen=True, slots=True)
class Cast:
    """A vote that counts: what, by whom, where it stands in DECISIONS, and the server's time of it."""

    reviewer: str
    vote: Vote
    sequence: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation of what a proposal would bring: which, by whom, and the server's time of it."""

    operator: str
    evaluation: Evaluation
    at_ns: int


@dataclass(frozen=True, slots=True)
class Case:
    """One proposal with all that happened to it. `verdict_sequence` is the vote that decided, 0 before.

    `panels` are of the rules in force at the last vote; every one of them must be met.
    """

    id: str
    digest: str
    proposer: str
    proposal: Proposal
    sequence: int
    at_ns: int
    expires_at_ns: int
    state: State
    panels: tuple[Panel, ...]
    votes: tuple[Cast, ...] = ()
    verdict_sequence: int = 0
    note: str = ""
    checks: str = ""
    """What ran in the sandbox and passed."""
    commit: str = ""
    until_ns: int = 0
    """A call that is allowed may be begun until then."""
    flags: tuple[str, ...] = field(default=())
    evaluations: tuple[Evaluated, ...] = ()
    """The last ones, oldest first. They are shown and decide nothing."""

    def live_votes(self) -> dict[str, Cast]:
        """The vote in force of each reviewer, the last one."""
        return {cast.reviewer: cast for cast in self.votes}

    def approving(self) -> frozenset[str]:
        """Who approves now."""
        return frozenset(name for name, cast in self.live_votes().items() if cast.vote.verb == "approve")

    @property
    def decisive(self) -> Panel:
        """The panel that is furthest from its quorum."""
        approving = self.approving()
        return max(self.panels, key=lambda panel: panel.requirement.quorum - panel.approvals(approving))

    @property
    def requirement(self) -> Requirement:
        """What `decisive` asks for."""
        return self.decisive.requirement

    def approvals(self) -> int:
        """How many distinct people approve now, of those who may vote."""
        return self.decisive.approvals(self.approving())


def step(state: State, name: Step) -> State:
    """The state after `name`.

    Raises:
        IllegalStep: there is no such transition.
    """
    try:
        return TRANSITIONS[state, name]
    except KeyError:
        raise IllegalStep(f"the proposal is {_plain(state)}; there is nothing left to {_verb(name)}") from None


def _plain(state: State) -> str:
    return "not in force yet" if state == "broken" else state.replace("_", " ")


def _verb(name: Step) -> str:
    return "decide" if name in {"vote", "quorum", "granted", "veto", "withdrawn", "expired"} else "apply"


def with_vote(case: Case, cast: Cast, panels: tuple[Panel, ...]) -> Case:
    """The case after `cast`, judged by `panels`. An identical vote again changes nothing.

    Raises:
        IllegalStep: the state, the digest, the reviewer's group, the expiry or an earlier revocation
            forbids it; the message says which, for the reviewer.
    """
    earlier = case.live_votes().get(cast.reviewer)
    if earlier is not None and earlier.vote == cast.vote:
        return case
    _require_allowed(case, cast, panels, earlier)
    return _judged(replace(case, votes=(*case.votes, cast), state=step(case.state, "vote"), panels=panels), cast)


def _require_allowed(case: Case, cast: Cast, panels: tuple[Panel, ...], earlier: Cast | None) -> None:
    step(case.state, "vote")
    if cast.at_ns > case.expires_at_ns:
        raise IllegalStep("the proposal has expired; the agent has to propose again")
    if cast.vote.digest and cast.vote.digest != case.digest:
        raise IllegalStep("the digest is not this proposal's; read it again with approvals.show")
    if not any(cast.reviewer in panel.people for panel in panels):
        raise IllegalStep(_who_may(panels[0].requirement))
    if earlier is not None and earlier.vote.verb == "revoke":
        # A copy of an old vote may be delivered again; if it could undo a revocation, it would be a forgery.
        raise IllegalStep("you revoked your vote on this proposal; that is final")
    if cast.vote.verb == "revoke" and earlier is None:
        raise IllegalStep("you have no vote on this proposal to revoke")


def _who_may(needed: Requirement) -> str:
    wanted = f"reviewers of {', '.join(sorted(needed.groups))}" if needed.groups else "other reviewers"
    return f"{needed.rule} lets only {wanted} vote, and nobody on what that same person proposed"


def _judged(case: Case, cast: Cast) -> Case:
    if cast.vote.verb == "reject":
        return replace(case, state=step(case.state, "veto"), verdict_sequence=cast.sequence, note=cast.vote.reason)
    if all(panel.is_met(case.approving()) for panel in case.panels):
        met: Step = "granted" if case.proposal.kind == "call" else "quorum"
        return replace(case, state=step(case.state, met), verdict_sequence=cast.sequence)
    return case


def at_time(case: Case, now_ns: int) -> Case:
    """The case as it stands at `now_ns`: what nobody decided in time has expired."""
    if case.state in VOTABLE and now_ns > case.expires_at_ns:
        return replace(case, state=step(case.state, "expired"))
    return case


def withdrawn(case: Case, proposer: str, reason: str) -> Case:
    """The case after its proposer took it back.

    Raises:
        IllegalStep: somebody else proposed it, or it is decided.
    """
    if proposer != case.proposer:
        raise IllegalStep(f"{case.id} was proposed by {case.proposer}, who alone may withdraw it")
    return replace(case, state=step(case.state, "withdrawn"), note=reason or "taken back")


_ON_RECORD: Mapping[Result, Step] = {
    "applied": "applied",
    "rolled_back": "rolled_back",
    "refused": "refused",
    "expired": "expired",
    "overturned": "overturned",
}


def with_outcome(case: Case, result: Result, reason: str, commit: str = "") -> Case:
    """The case after the applier's report.

    Raises:
        IllegalStep: the state does not allow it.
    """
    if result == "checked":
        return replace(case, checks=reason)
    return replace(case, state=step(case.state, _ON_RECORD[result]), note=reason, commit=commit)
