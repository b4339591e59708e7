"""The ways to say what shall be different in a folder: an edit, a whole file, a file that goes, a unified patch.

They are made in a scratch copy and nowhere else. A path that leaves the folder, also by a link in it, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from approvals.errors import CannotPropose, GitFailed
from approvals.git import AGENTS, Git


@dataclass(frozen=True, slots=True)
class Scratch:
    """A copy of the folder, in `work`, and a git repository for it. `agent` is whose folder it is, empty: the fleet's."""

    git: Git
    work: Path
    agent: str = ""

    def path(self, name: str) -> Path:
        """Where the file `name` is.

        Raises:
            CannotPropose: outside the folder.
        """
        path = self.work / name
        if not path.resolve().is_relative_to(self.work.resolve()):
            raise CannotPropose(f"{name} is outside the folder that is changed")
        return path


class Change(Protocol):
    """One of them."""

    def make(self, scratch: Scratch) -> None:
        """Change the scratch copy.

        Raises:
            CannotPropose: it does not fit the files that are there.
        """


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the one occurrence of `find` in the file `path`; an empty `find` writes the whole file."""

    path: str
    find: str
    replace: str

    def make(self, scratch: Scratch) -> None:
        """See `Change`."""
        try:
            self._make(scratch)
        except (OSError, ValueError) as error:
            raise _unfit(self.path, "a file of text that can be edited", error) from None

    def _make(self, scratch: Scratch) -> None:
        path = scratch.path(self.path)
        if not self.find:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.replace.encode())
            return
        text = path.read_bytes().decode() if path.is_file() else ""  # as bytes: line ends stay what they are
        if text.count(self.find) != 1:
            raise CannotPropose(f"{self.path} contains {self.find[:60]!r} {text.count(self.find)} times, not once")
        path.write_bytes(text.replace(self.find, self.replace).encode())


@dataclass(frozen=True, slots=True)
class WholeFile:
    """The file `path` with this content; one that is there keeps its mode."""

    path: str
    content: bytes

    def make(self, scratch: Scratch) -> None:
        """See `Change`."""
        try:
            path = scratch.path(self.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.content)
        except (OSError, ValueError) as error:
            raise _unfit(self.path, "a file that can be written", error) from None


@dataclass(frozen=True, slots=True)
class Removal:
    """The file `path` goes."""

    path: str

    def make(self, scratch: Scratch) -> None:
        """See `Change`."""
        try:
            scratch.path(self.path).unlink()
        except (OSError, ValueError) as error:
            raise _unfit(self.path, "a file that can be removed", error) from None


@dataclass(frozen=True, slots=True)
class Patch:
    """A unified diff as git writes it, relative to the folder, or to the fleet's repository for an agent's folder."""

    text: bytes

    def make(self, scratch: Scratch) -> None:
        """See `Change`. git refuses what does not apply exactly, and paths that leave the folder."""
        inside = scratch.git.over(scratch.work)
        try:
            inside.run("apply", "--whitespace=nowarn", f"-p{self._depth(scratch.agent)}", "-", stdin=self.text)
        except GitFailed as error:
            raise CannotPropose(f"the patch does not fit the files in force: {error}") from None

    def _depth(self, agent: str) -> int:
        """How many folders its paths have before those of this folder: `a/`, or `a/agents/<agent>/`."""
        whole = rf"^(?:---|\+\+\+) [ab]/{AGENTS}/{re.escape(agent)}/"
        return 3 if agent and re.search(whole.encode(), self.text, re.MULTILINE) else 1


def _unfit(path: str, wanted: str, error: OSError | ValueError) -> CannotPropose:
    reason = getattr(error, "strerror", None) or str(error)
    return CannotPropose(f"{path[:200]!r} is not {wanted}: {reason}")
