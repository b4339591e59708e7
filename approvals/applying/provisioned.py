"""What provisioning put in force last: the fleet's own files, in a repository that no process but provisioning writes.

Whoever may change `fleet.git` can put there what nobody approved. So provisioning under systemd starts from what it
knows itself, and goes on from there only by what the server's record says that people approved.
"""

from __future__ import annotations

import re

from approvals.errors import GitFailed
from approvals.git import BRANCH, Git, new_repository
from approvals.repository import rules_in_force
from approvals.verdict.fold import Rules
from bus.errors import NotProvisioned
from bus.surroundings import Home

_DECIDED = re.compile(r"^Decided: (\d{1,20})$", re.MULTILINE)


class Provisioned:
    """The repository; its branch holds what is in force, and its history what was, each with why."""

    def __init__(self, git: Git) -> None:
        self.git = git

    @classmethod
    def of(cls, home: Home) -> Provisioned:
        """The one of this home.

        Raises:
            NotProvisioned: there is none yet.
        """
        book = cls(Git(home.provisioned))
        try:
            book.git.line("rev-parse", "--verify", "--quiet", BRANCH)
        except GitFailed:
            raise NotProvisioned(f"{home.provisioned} does not say what is in force; run: agentbus provision") from None
        return book

    @property
    def tree(self) -> str:
        """The tree in force."""
        return self.git.tree_of_fleet()

    @property
    def rules(self) -> Rules:
        """Policy and fleet file in force."""
        return rules_in_force(self.git)

    @property
    def decided_ns(self) -> int:
        """When it was decided that this is in force; what was approved before that is spent."""
        found = _DECIDED.search(self.git.run("log", "-1", "--format=%B", BRANCH).decode("utf-8", "replace"))
        return int(found[1]) if found else 0

    def put(self, tree: str, why: str, decided_ns: int) -> None:
        """Say that `tree`, whose objects are here, is in force from now on."""
        before = self.git.line("for-each-ref", "--format=%(objectname)", BRANCH)
        commit = self.git.commit(tree, f"{why}\n\nDecided: {decided_ns}\n", "provision", parent=before)
        self.git.run("update-ref", BRANCH, commit, before)


def note_by_hand(home: Home, now_ns: int) -> None:
    """Take over what the fleet's repository says now, as root does by `agentbus provision`: whoever runs it vouches."""
    source = Git(home.repository)
    tree = source.tree_of_fleet()
    book = Provisioned(new_repository(home.provisioned))
    if book.git.line("for-each-ref", BRANCH) and book.tree == tree:
        return
    pack = source.run("pack-objects", "--quiet", "--stdout", "--revs", stdin=f"{tree}\n".encode())
    book.git.run("unpack-objects", "-q", stdin=pack)
    book.put(tree, "in force by hand", now_ns)
