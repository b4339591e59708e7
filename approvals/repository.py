"""The fleet's repository as the approvals layer reads it: the rules in force, and an agent's folder."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from approvals.examine import examine
from approvals.fold import Inspect, Rules
from approvals.git import BRANCH, Git
from schemas.approvals import Proposal
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.policy import Policy

FLEET_FILE = "fleet.yaml"
POLICY_FILE = "policy.yaml"


def rules_in_force(git: Git) -> Rules:
    """Policy and reviewers at the head of the branch.

    Raises:
        InvalidDocument: a file is missing or cannot be read. GitFailed: the repository cannot.
    """
    return _rules_at(git.directory, git.line("rev-parse", BRANCH))


@lru_cache(maxsize=4)
def _rules_at(directory: Path, commit: str) -> Rules:
    git = Git(directory)
    return Rules(
        policy=parse_yaml(_text(git, commit, POLICY_FILE), Policy, POLICY_FILE),
        fleet=parse_yaml(_text(git, commit, FLEET_FILE), Fleet, FLEET_FILE),
    )


def _text(git: Git, commit: str, path: str) -> str:
    content = git.file(commit, path)
    if content is None:
        raise InvalidDocument(f"{path} is missing from the fleet's repository {git.directory}")
    return content.decode("utf-8", "replace")


def inspector(git: Git) -> Inspect:
    """Whether a proposal can be accepted for review, as `Ledger` asks it."""

    def inspect(agent: str, proposal: Proposal) -> str:
        return examine(git, agent, proposal).problem

    return inspect
