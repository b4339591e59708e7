"""The fleet's repository: the rules in force, an agent's folder, and the commit that records an approved change."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from approvals.fold import Rules
from approvals.git import BRANCH, Git
from approvals.machine import Case
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


def commit_approved(git: Git, case: Case) -> str:
    """Put the approved tree of one agent on the branch; returns the commit.

    Raises:
        GitFailed: the branch moved meanwhile, or git cannot write.
    """
    agent, head = case.proposal.agent, git.line("rev-parse", BRANCH)
    agents = _with_entry(git, f"{head}:agents", agent, case.proposal.tree)
    root = _with_entry(git, head, "agents", agents)
    approvers = ", ".join(sorted(r for r, cast in case.live_votes().items() if cast.vote.verb == "approve"))
    message = f"{agent}: apply {case.id}\n\nDigest: {case.digest}\nApproved-by: {approvers}\n"
    commit = git.commit(root, message, "applier", parent=head)
    git.run("update-ref", BRANCH, commit, head)
    return commit


def _with_entry(git: Git, tree: str, name: str, folder: str) -> str:
    """`tree` with the folder `name` being `folder`: computed from listings, no work tree and no index."""
    entries = [entry for entry in git.run("ls-tree", "-z", tree).split(b"\0") if entry]
    others = [entry for entry in entries if entry.split(b"\t", 1)[1] != name.encode()]
    fresh = f"040000 tree {folder}\t{name}".encode()
    return git.line("mktree", "-z", stdin=b"\0".join([*others, fresh]) + b"\0")
