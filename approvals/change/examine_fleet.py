"""A proposal to change the fleet's own files: what an agent may do, and who decides."""

from __future__ import annotations

from approvals.change.kinds import FLEET_FILE, POLICY_FILE, Contents, kind_of_fleet
from approvals.git import Git
from schemas.approvals import Proposal
from schemas.documents import parse_yaml
from schemas.fleet import Fleet
from schemas.policy import Policy

_FILES = frozenset({FLEET_FILE, POLICY_FILE})
_FIXED = ("name", "operators", "auditors", "witnesses", "nats")
_FIXED_OF_AGENTS = ("storage_mb", "sessions_mb", "parts_mb")
"""What no proposal changes: it needs keys, streams or processes, so provisioning does it."""


def problem_of_fleet(git: Git, proposal: Proposal, before: Contents, after: Contents) -> str:
    """What is wrong with the change, one sentence; empty when nothing is.

    Raises:
        InvalidDocument: a file would not be one that can be in force.
    """
    others = sorted(after.keys() - _FILES)
    if others:
        return f"{others[0]} is not a file of the fleet that can be changed; {FLEET_FILE} and {POLICY_FILE} are"
    found = kind_of_fleet(before, after)
    if found != (proposal.kind, proposal.agent):
        kind, agent = found
        return f"this is a change of kind {kind} about {agent or 'the whole fleet'}, not what the proposal says"
    old, new = (_fleet(git, tree) for tree in (proposal.base, proposal.tree))
    parse_yaml(_text(git, proposal.tree, POLICY_FILE), Policy, POLICY_FILE)
    fixed = [key for key in _FIXED if getattr(old, key) != getattr(new, key)]
    if old.agents.keys() != new.agents.keys():
        fixed.append("the set of agents")
    else:
        fixed += [
            f"{key} of {agent}"
            for agent, role in new.agents.items()
            for key in _FIXED_OF_AGENTS
            if getattr(old.agents[agent], key) != getattr(role, key)
        ]
    return f"{fixed[0]} is changed by provisioning, not by a proposal" if fixed else ""


def _fleet(git: Git, tree: str) -> Fleet:
    return parse_yaml(_text(git, tree, FLEET_FILE), Fleet, FLEET_FILE)


def _text(git: Git, tree: str, path: str) -> str:
    return (git.file(tree, path) or b"").decode("utf-8", "replace")
