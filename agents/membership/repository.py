"""The fleet's repository when an operator changes who is in the fleet: one commit, by hand, which can be taken back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from approvals.applying.provisioned import Provisioned
from approvals.change.kinds import FLEET_FILE
from approvals.errors import GitFailed
from approvals.git import AGENTS, BRANCH, Git, add_folder
from bus.errors import NotProvisioned
from bus.surroundings import Home
from schemas.errors import InvalidDocument

JOINS, LEAVES = "joins as", "leaves"
"""What the commits say."""
_CHANGE = re.compile(rf"operator@agentbus\.invalid [a-z0-9-]+: ({JOINS} [a-z]+|{LEAVES})")


def fleet_text(git: Git) -> str:
    """The fleet file in force, as it is written.

    Raises:
        InvalidDocument: there is none.
    """
    found = git.file(BRANCH, FLEET_FILE)
    if found is None:
        raise InvalidDocument(f"{FLEET_FILE} is missing from the fleet's repository {git.directory}")
    return found.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Commit:
    """What was put on the branch, and what was there before."""

    git: Git
    before: str
    after: str

    def take_back(self) -> None:
        """Have the branch be where it was, unless somebody else moved it meanwhile.

        Raises:
            GitFailed: somebody did.
        """
        self.git.run("update-ref", BRANCH, self.before, self.after)


def unfinished(home: Home) -> Commit | None:
    """The last commit, where a command that was cut off made it: nobody has put in force what it says."""
    git = Git(home.repository)
    try:
        in_force = Provisioned.of(home).git.line("rev-parse", f"{BRANCH}:{FLEET_FILE}")
        said = git.line("log", "-1", "--format=%ae %s", BRANCH)
        before, after = git.line("rev-parse", f"{BRANCH}^"), git.line("rev-parse", BRANCH)
        is_before = git.line("rev-parse", f"{before}:{FLEET_FILE}") == in_force
    except (NotProvisioned, GitFailed):
        return None  # nothing was ever in force, or the fleet has no history yet
    return Commit(git, before, after) if is_before and _CHANGE.fullmatch(said) else None


def commit_fleet(git: Git, text: str, message: str, folder: tuple[str, Path] | None = None) -> Commit:
    """Put a fleet file on the branch, and the files of one agent's `folder` (its id, and where they are).

    Raises:
        GitFailed: the branch moved meanwhile, or git cannot write.
    """
    before = git.line("rev-parse", BRANCH)
    files = add_folder(git, folder[1]) if folder else ""
    with git.indexed() as index:
        index.run("read-tree", before)
        blob = index.line("hash-object", "-w", "--stdin", stdin=text.encode())
        index.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{FLEET_FILE}")
        if folder:
            index.over(folder[1]).run("read-tree", f"--prefix={AGENTS}/{folder[0]}/", files)
        tree = index.line("write-tree")
    after = git.commit(tree, f"{message}\n", "operator", parent=before)
    git.run("update-ref", BRANCH, after, before)
    return Commit(git, before, after)
