"""Who may propose what: an agent a change of itself, an operator any change."""

from __future__ import annotations

from schemas.approvals import PROTECTED, Proposal, ToolCall
from schemas.documents import parse_value
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet

_FLEET_KINDS = frozenset({"authority", "policy"})


def problem_of_proposer(fleet: Fleet, proposer: str, proposal: Proposal) -> str:
    """Why `proposer` may not propose this, by what the proposal says of itself; empty when it may.

    That it says the truth is checked against the repository (`examine`).
    """
    return _problem_of_form(proposal) or _problem_of_authority(fleet, proposer, proposal)


def _problem_of_form(proposal: Proposal) -> str:
    is_call = isinstance(proposal.call, ToolCall)
    if is_call or proposal.kind == "call":
        changes = (proposal.files, proposal.diff, proposal.is_of_fleet, proposal.base != proposal.tree)
        return "" if is_call and proposal.kind == "call" and not any(changes) else "a call of a tool changes nothing"
    if not proposal.files:
        return "the proposal changes nothing"
    if proposal.is_of_fleet and proposal.kind not in _FLEET_KINDS:
        return f"a change of the fleet's own files is of kind authority or policy, not {proposal.kind}"
    if proposal.is_of_newcomer:
        return "" if proposal.kind == "authority" else f"a new agent is of kind authority, not {proposal.kind}"
    if not proposal.is_of_fleet and proposal.kind in PROTECTED:
        return f"a change of an agent's folder is not of kind {proposal.kind}"
    return ""


def _problem_of_authority(fleet: Fleet, proposer: str, proposal: Proposal) -> str:
    if proposal.kind == "call" and (proposer != proposal.agent or proposer not in fleet.agents):
        return (
            f"{proposer} asks for a call that {proposal.agent or 'nobody'} would make; an agent asks for its own alone"
        )
    if proposer in fleet.operators:
        return _problem_of_operators(fleet, proposal)
    if proposer not in fleet.agents:
        return f"{proposer} is neither an agent nor an operator of this fleet"
    if proposal.agent != proposer:
        about = proposal.agent or "the fleet"
        return f"{proposer} proposes a change to {about}; an agent may only propose for itself"
    if proposal.kind == "policy":
        return f"{proposer} may not propose who decides; an operator may"
    return ""


def _problem_of_operators(fleet: Fleet, proposal: Proposal) -> str:
    if proposal.is_of_newcomer:
        return _problem_of_newcomer(fleet, proposal.agent)
    is_of_all = proposal.is_of_fleet and not proposal.agent
    is_known = is_of_all or proposal.agent in fleet.agents
    return "" if is_known else f"there is no agent {proposal.agent} in this fleet"


def _problem_of_newcomer(fleet: Fleet, agent: str) -> str:
    """Why the fleet could not have an agent of this name."""
    if agent in fleet.agents:
        return f"there is an agent {agent} in this fleet already"
    document = fleet.model_dump(exclude_unset=True)
    try:
        parse_value({**document, "agents": {**document["agents"], agent: {}}}, Fleet, "the fleet with it")
    except InvalidDocument as error:
        return f"this fleet cannot have an agent of that name: {error}"
    return ""
