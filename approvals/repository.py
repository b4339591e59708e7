"""The fleet's repository: the rules in force, an agent's folder, and the commit that records an approved change."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from approvals.change.kinds import FLEET_FILE, POLICY_FILE
from approvals.errors import GitFailed
from approvals.git import AGENTS, BRANCH, Git
from approvals.verdict.fold import Rules
from approvals.verdict.machine import Case
from schemas.approvals import Proposal, RulesRecord
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.ids import sha256_hex
from schemas.policy import Policy


def rules_in_force(git: Git) -> Rules:
    """Policy and reviewers at the head of the branch.

    Raises:
        InvalidDocument: a file is missing or cannot be read. GitFailed: the repository cannot.
    """
    return _rules_of(git.directory, git.line("rev-parse", BRANCH))


class Rulebook:
    """Rules by the commit that holds them, and those that a proposal would bring."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def at(self, record: RulesRecord) -> Rules:
        """The rules that the record names.

        Raises:
            InvalidDocument: the repository does not have them; nothing can be judged then.
        """
        try:
            rules = _rules_of(self._git.directory, record.commit)
        except GitFailed as error:
            raise InvalidDocument(
                f"the record says that commit {record.commit[:12]} holds the rules in force, but the repository "
                f"{self._git.directory} does not have it ({error}); restore the repository from its backup"
            ) from None
        if dict(rules.digests) != {"policy": record.policy, "fleet": record.fleet}:
            raise InvalidDocument(f"commit {record.commit[:12]} does not hold the rules that the record names")
        return rules

    def after(self, proposal: Proposal) -> Rules | None:
        """The rules that a change of the fleet's own files would bring; None when it brings none that can be read."""
        try:
            return _rules_after(self._git.directory, proposal.base, proposal.diff)
        except (GitFailed, InvalidDocument):
            return None


@lru_cache(maxsize=64)
def _rules_of(directory: Path, commit: str) -> Rules:
    return rules_of_tree(Git(directory), commit)


@lru_cache(maxsize=64)
def _rules_after(directory: Path, base: str, diff: str) -> Rules:
    with Git(directory).scratch() as scratch:
        scratch.tree_of_fleet()  # the base, where it is the present one
        return rules_of_tree(scratch, scratch.apply(base, diff))


def rules_of_tree(git: Git, revision: str) -> Rules:
    """Policy and reviewers of a commit or a tree.

    Raises:
        InvalidDocument: a file is missing or cannot be read. GitFailed: there is no such tree.
    """
    policy, fleet = _text(git, revision, POLICY_FILE), _text(git, revision, FLEET_FILE)
    return Rules(
        policy=parse_yaml(policy, Policy, POLICY_FILE),
        fleet=parse_yaml(fleet, Fleet, FLEET_FILE),
        digests=(("policy", sha256_hex(policy.encode())), ("fleet", sha256_hex(fleet.encode()))),
    )


def _text(git: Git, revision: str, path: str) -> str:
    content = git.file(revision, path)
    if content is None:
        raise InvalidDocument(f"{path} is missing from the fleet's repository {git.directory}")
    return content.decode("utf-8", "replace")


def commit_approved(git: Git, case: Case) -> str:
    """Put the approved tree on the branch; returns the commit, the present one where the tree is there already.

    Raises:
        GitFailed: the branch moved meanwhile, or git cannot write.
    """
    if case.proposal.is_of_fleet:
        with git.indexed() as index:
            index.apply(case.proposal.base, case.proposal.diff)
        git.run("update-ref", f"refs/agentbus/{case.proposal.tree}", case.proposal.tree)
    approvers = ", ".join(sorted(case.approving()))
    return _commit(git, case, case.proposal.tree, f"apply {case.id}", f"Approved-by: {approvers}\n")


def commit_back(git: Git, case: Case) -> str:
    """Put the tree on the branch that was there before the case."""
    return _commit(git, case, case.proposal.base, f"take back {case.id}", "")


def commit_release(git: Git, case: Case, tree: str) -> str:
    """Put an earlier tree of the case's agent on the branch, where the glass was broken."""
    return _commit(git, case, tree, f"{case.proposal.kind} {case.id}", f"By: {case.proposer}\n")


def keep_fleet_tree(git: Git) -> None:
    """Keep the fleet's own files of today as a tree: proposals are judged against it, also after the next change."""
    tree = git.tree_of_fleet()
    git.run("update-ref", f"refs/agentbus/{tree}", tree)


def _commit(git: Git, case: Case, tree: str, what: str, more: str) -> str:
    proposal, head = case.proposal, git.line("rev-parse", BRANCH)
    if git.tree_in_force(proposal) == tree:
        return head
    if proposal.is_of_fleet:
        root = _with_entry(git, tree, AGENTS, git.line("rev-parse", f"{head}:{AGENTS}"))
    else:
        agents = _with_entry(git, f"{head}:{AGENTS}", proposal.agent, tree)
        root = _with_entry(git, head, AGENTS, agents)
    message = f"{proposal.agent or 'fleet'}: {what}\n\nDigest: {case.digest}\n{more}"
    commit = git.commit(root, message, "applier", parent=head)
    git.run("update-ref", BRANCH, commit, head)
    return commit


def _with_entry(git: Git, tree: str, name: str, folder: str) -> str:
    """`tree` with the folder `name` being `folder`: computed from listings, no work tree and no index."""
    entries = [entry for entry in git.run("ls-tree", "-z", tree).split(b"\0") if entry]
    others = [entry for entry in entries if entry.split(b"\t", 1)[1] != name.encode()]
    fresh = f"040000 tree {folder}\t{name}".encode()
    return git.line("mktree", "-z", stdin=b"\0".join([*others, fresh]) + b"\0")
