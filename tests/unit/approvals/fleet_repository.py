"""A fleet's repository of real git, and changes to the greeter's folder made entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agents.home import EXAMPLE
from approvals.change.kinds import kind_of
from approvals.git import BRANCH, Entry, Git, add_folder, new_repository
from schemas.approvals import ChangedFile, Kind, Proposal
from schemas.errors import InvalidDocument
from schemas.ids import sha256_hex
from tests.unit.approvals.cases import proposal

AGENT_YAML = (EXAMPLE / "agents/greeter/agent.yaml").read_bytes()
FORMAL = AGENT_YAML.replace(b"Style: friendly", b"Style: formal")
Change = tuple[str, bytes] | None
"""(mode, content) of a path, or None to remove it."""


def plain(content: bytes) -> Change:
    """An ordinary file."""
    return "100644", content


@dataclass
class Desk:
    """The example fleet in git, and the greeter's tree in it."""

    git: Git

    @classmethod
    def at(cls, folder: Path) -> Desk:
        """Import the example fleet into a new repository."""
        git = new_repository(folder / "fleet.git")
        git.run("update-ref", BRANCH, git.commit(add_folder(git, EXAMPLE), "import", "test"))
        return cls(git)

    @property
    def base(self) -> str:
        """The greeter's tree in force."""
        tree = self.git.tree_of_agent("greeter")
        assert tree is not None
        return tree

    def tree(self, changes: Mapping[str, Change]) -> str:
        """The base with `changes`, written by git's plumbing, which allows what people would not do."""
        with self.git.indexed() as index:
            index.run("read-tree", self.base)
            lines = "".join(f"{self._entry(change)}\t{path}\0" for path, change in changes.items())
            index.run("update-index", "-z", "--index-info", stdin=lines.encode())
            return index.line("write-tree")

    def _entry(self, change: Change) -> str:
        if change is None:
            return f"0 {'0' * 40}"
        mode, content = change
        blob = content.decode() if mode == "160000" else self.git.line("hash-object", "-w", "--stdin", stdin=content)
        return f"{mode} {blob}"

    def propose(self, changes: Mapping[str, Change]) -> Proposal:
        """The honest proposal of `changes`: everything in it is what git says."""
        return self.describe(self.tree(changes))

    def describe(self, tree: str) -> Proposal:
        """The honest proposal that leads to `tree`."""
        entries = self.git.changes(self.base, tree)
        files = tuple(self._changed(entry) for entry in entries)
        diff = self.git.diff(self.base, tree)
        return proposal(base=self.base, tree=tree, diff=diff, files=files, kind=self._kind(entries))

    def _changed(self, entry: Entry) -> ChangedFile:
        if entry.is_removed:
            return ChangedFile(path=entry.path, mode="100644")
        content = b"" if entry.mode == "160000" else self.git.blob(entry.blob)
        return ChangedFile(path=entry.path, mode=entry.mode, sha256=sha256_hex(content))  # type: ignore[arg-type]

    def _kind(self, entries: tuple[Entry, ...]) -> Kind:
        before = {entry.path: self.git.file(self.base, entry.path) for entry in entries}
        after = {e.path: None if e.mode in {"000000", "160000"} else self.git.blob(e.blob) for e in entries}
        try:
            return kind_of(before, after)
        except InvalidDocument:
            return "config"


def altered(about: Proposal, **changes: object) -> Proposal:
    """A proposal that says something else than git does."""
    return msgspec.structs.replace(about, **changes)
