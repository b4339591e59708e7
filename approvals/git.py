"""git, used as a content store: trees are computed and compared, nothing is ever checked out by hand.

Every call runs without the machine's and the user's configuration, hooks, filters and prompts: what is
in a proposal is an attacker's input. Objects of a proposal go to a scratch object folder that borrows
from the repository, so examining a proposal writes nothing to it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from approvals.errors import GitFailed
from schemas.approvals import EMPTY_TREE, Proposal

BRANCH = "refs/heads/main"
AGENTS = "agents"
"""The folder of the repository that holds a folder for each agent."""
_TIMEOUT_S = 30
_ISOLATED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
_SAFE = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", "-c", "safe.directory=*",
         "-c", "core.autocrlf=false", "-c", "core.attributesFile=" + os.devnull)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One changed path between two trees. `mode` is the new mode, "000000" when removed."""

    path: str
    mode: str
    blob: str
    old_mode: str = "000000"

    @property
    def is_removed(self) -> bool:
        """The path is gone in the new tree."""
        return self.mode == "000000"


@dataclass(frozen=True, slots=True)
class Git:
    """git bound to one repository folder, with extra environment (a scratch index, scratch objects)."""

    directory: Path
    extra: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run one git command and return what it prints.

        Raises:
            GitFailed: it ended with an error, or did not end.
        """
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.devnull, **_ISOLATED, **self.extra}
        environment["GIT_DIR"] = str(self.directory)
        where = environment.get("GIT_WORK_TREE", self.directory)
        try:
            done = subprocess.run(
                ["git", *_SAFE, *arguments], input=stdin, capture_output=True, env=environment,
                timeout=_TIMEOUT_S, check=False, cwd=where,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise GitFailed(f"git {arguments[0]} did not end within {_TIMEOUT_S} s") from None
        except FileNotFoundError:
            raise GitFailed(f"git is not installed, or {self.directory} does not exist") from None
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise GitFailed(f"git {arguments[0]}: {lines[0] if lines else f'exit {done.returncode}'}")
        return done.stdout

    def line(self, *arguments: str, stdin: bytes = b"") -> str:
        """As `run`, for commands that print one line."""
        return self.run(*arguments, stdin=stdin).decode().strip()

    @contextmanager
    def scratch(self) -> Iterator[Git]:
        """The same repository, with an index and new objects in a folder that is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="agentbus-git-") as folder:
            Path(folder, "objects").mkdir()
            yield Git(self.directory, {
                "GIT_INDEX_FILE": f"{folder}/index",
                "GIT_OBJECT_DIRECTORY": f"{folder}/objects",
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.directory / "objects"),
            })  # fmt: skip

    @contextmanager
    def indexed(self) -> Iterator[Git]:
        """The same repository, objects kept, with an index of its own."""
        with tempfile.TemporaryDirectory(prefix="agentbus-git-") as folder:
            yield Git(self.directory, {"GIT_INDEX_FILE": f"{folder}/index"})

    def over(self, folder: Path) -> Git:
        """The same index and objects, with the files of `folder`."""
        return Git(self.directory, {**self.extra, "GIT_WORK_TREE": str(folder)})

    def apply(self, base: str, diff: str) -> str:
        """The id of the tree that `diff` makes of tree `base`; only within `scratch` or `indexed`.

        Raises:
            GitFailed: the diff does not apply exactly.
        """
        self.run("read-tree", base)
        if diff:
            self.run("apply", "--cached", "--whitespace=nowarn", "-", stdin=diff.encode())
        return self.line("write-tree")

    def changes(self, base: str, tree: str) -> tuple[Entry, ...]:
        """What differs between two trees, without rename guessing."""
        fields = self.run("diff-tree", "-r", "--raw", "-z", "--no-renames", base, tree).decode("utf-8", "replace")
        parts = fields.split("\0")
        return tuple(_entry(meta, path) for meta, path in zip(parts[0::2], parts[1::2], strict=False))

    def diff(self, base: str, tree: str) -> str:
        """The unified diff between two trees, in the one form that proposals carry."""
        arguments = ("diff-tree", "-r", "-p", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
        return self.run(*arguments, base, tree).decode("utf-8", "replace")

    def blob(self, blob: str) -> bytes:
        """The content of a file."""
        return self.run("cat-file", "blob", blob)

    def file(self, revision: str, path: str) -> bytes | None:
        """The content of `path` at a commit or tree, None when it is not there."""
        listed = self.run("ls-tree", "-z", revision, "--", path).decode().split("\0")[0]
        return self.blob(listed.split()[2]) if listed else None

    def commit(self, tree: str, message: str, author: str, *, parent: str = "") -> str:
        """Make a commit in the name of a part of the product; no branch is moved."""
        person = {"NAME": f"agentbus {author}", "EMAIL": f"{author}@agentbus.invalid"}
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}
        parents = ("-p", parent) if parent else ()
        signed = Git(self.directory, {**self.extra, **who})
        return signed.line("commit-tree", tree, *parents, "-F", "-", stdin=message.encode())

    def tree_of_fleet(self) -> str:
        """The tree id of the branch in force without `agents/`: the fleet's own files.

        Stores that tree; only within `scratch` where the repository must not be written to.
        """
        entries = [entry for entry in self.run("ls-tree", "-z", BRANCH).split(b"\0") if entry]
        own = [entry for entry in entries if entry.split(b"\t", 1)[1] != AGENTS.encode()]
        return self.line("mktree", "-z", stdin=b"\0".join([*own, b""]))

    def tree_in_force(self, proposal: Proposal) -> str | None:
        """The present tree of what the proposal wants to change, None when there is none. As `tree_of_fleet`."""
        if proposal.is_of_fleet:
            return self.tree_of_fleet()
        return self.tree_of_agent(proposal.agent) or (EMPTY_TREE if proposal.is_of_newcomer else None)

    def tree_of_agent(self, agent: str) -> str | None:
        """The tree id of an agent's folder on the branch in force, None when it has none."""
        listed = self.run("ls-tree", "-z", BRANCH, "--", f"{AGENTS}/{agent}").decode().split("\0")[0]
        return listed.split()[2] if listed else None


def _entry(meta: str, path: str) -> Entry:
    old_mode, mode, _old_blob, blob, _status = meta.lstrip(":").split(" ")
    return Entry(path, mode, blob, old_mode)


def tree_of_folder(folder: Path) -> str:
    """The tree id of the files in `folder`, computed by git in a scratch repository."""
    with tempfile.TemporaryDirectory(prefix="agentbus-tree-") as scratch:
        git = new_repository(Path(scratch))
        return add_folder(git, folder)


def new_repository(directory: Path) -> Git:
    """Make a bare repository, or open the one that is there."""
    if not (directory / "HEAD").exists():
        directory.mkdir(parents=True, exist_ok=True)
        Git(directory).run("init", "--bare", "--quiet", f"--initial-branch={BRANCH.rsplit('/', 1)[1]}", str(directory))
    return Git(directory)


def add_folder(git: Git, folder: Path) -> str:
    """Store the files of `folder` and return their tree id; the repository's own index is not used."""
    with git.indexed() as index:
        index.over(folder).run("add", "--all", "--force", ".")
        return index.line("write-tree")
