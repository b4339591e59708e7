"""Builds the bytes of a proposal from what somebody wants to change. Runs in the proposer's process."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from approvals.change.calls import problem_of_call
from approvals.change.edits import Change, Edit, Scratch
from approvals.change.kinds import Contents, kind_of, kind_of_fleet
from approvals.errors import CannotPropose
from approvals.git import AGENTS, Git, add_folder, new_repository
from schemas.approvals import EMPTY_TREE, ChangedFile, FileMode, Kind, Proposal, ToolCall
from schemas.ids import sha256_hex

__all__ = [
    "Edit",
    "Origin",
    "build_call_proposal",
    "build_fleet_proposal",
    "build_proposal",
    "files_in_force",
    "no_files_yet",
]

_DAY_NS = 24 * 3600 * 1_000_000_000
MAX_RATIONALE = 2000
_MODES: dict[str, FileMode] = {"100644": "100644", "100755": "100755", "000000": "100644"}
"""Mode of a changed path to the one that a proposal says; a file that goes has none of its own."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a proposal comes from: the task that asks for it, and the conversation. Both may be empty."""

    task: str = ""
    correlation: str = ""


@dataclass(frozen=True, slots=True)
class _Difference:
    """What git says of the change: trees, diff, files, and the contents before and after."""

    base: str
    tree: str
    diff: str
    files: tuple[ChangedFile, ...]
    before: Contents
    after: Contents


def build_proposal(
    agent: str, folder: Path, changes: Sequence[Change], *, rationale: str, now_ns: int, origin: Origin = Origin()
) -> bytes:
    """The proposal that makes `changes` to the agent's `folder` (which is not touched). An empty one is a new agent's.

    Raises:
        CannotPropose: a change does not fit the files, or nothing would change.
    """
    found = _difference(folder, changes, agent)
    kind: Kind = "authority" if found.base == EMPTY_TREE else kind_of(found.before, found.after)
    return _encoded(_proposal(agent, kind, found, (rationale, now_ns), origin))


def build_fleet_proposal(folder: Path, changes: Sequence[Change], *, rationale: str, now_ns: int) -> bytes:
    """The proposal that makes `changes` to the fleet's own files, which are in `folder` without its `agents/`.

    Raises:
        CannotPropose: as `build_proposal`; or a change is one of an agent's folder.
    """
    found = _difference(folder, changes, "")
    foreign = next((file.path for file in found.files if file.path.startswith(f"{AGENTS}/")), "")
    if foreign:
        raise CannotPropose(f"{foreign} is in an agent's folder: propose it for that agent")
    kind, agent = kind_of_fleet(found.before, found.after)
    proposal = _proposal(agent, kind, found, (rationale, now_ns), Origin())
    return _encoded(msgspec.structs.replace(proposal, scope="fleet"))


def build_call_proposal(agent: str, tree: str, call: ToolCall, *, rationale: str, now_ns: int, origin: Origin) -> bytes:
    """The proposal to let the agent, as it is in `tree`, make one call of a tool, once.

    Raises:
        CannotPropose: its arguments are too long for people, or hold a secret.
    """
    problem = problem_of_call(call)
    if problem:
        raise CannotPropose(problem)
    nothing = _Difference(tree, tree, "", (), {}, {})
    proposal = _proposal(agent, "call", nothing, (rationale, now_ns), origin)
    return _encoded(msgspec.structs.replace(proposal, call=call))


@contextmanager
def no_files_yet(git: Git, agent: str) -> Iterator[Path]:
    """The folder of an agent that is to be new: an empty one.

    Raises:
        CannotPropose: the repository has files of such an agent.
    """
    if git.tree_of_agent(agent) is not None:
        raise CannotPropose(
            f"there are files of an agent {agent} already: propose changes of them, or, where it has left the fleet, "
            f"let it join with: agentbus fleet add agent {agent}"
        )
    with tempfile.TemporaryDirectory(prefix="agentbus-files-") as folder:
        yield Path(folder)


@contextmanager
def files_in_force(git: Git, agent: str) -> Iterator[Path]:
    """The files of the agent's folder that are in force, or the fleet's own where `agent` is empty: a copy.

    Raises:
        CannotPropose: there is no such agent.
    """
    with git.scratch() as scratch, tempfile.TemporaryDirectory(prefix="agentbus-files-") as folder:
        tree = scratch.tree_of_agent(agent) if agent else scratch.tree_of_fleet()
        if tree is None:
            raise CannotPropose(f"there is no agent {agent} in this fleet")
        scratch.run("read-tree", tree)
        scratch.over(Path(folder)).run("checkout-index", "--all")
        yield Path(folder)


def _difference(folder: Path, changes: Sequence[Change], agent: str) -> _Difference:
    with tempfile.TemporaryDirectory(prefix="agentbus-propose-") as place:
        work = Path(place, "files")
        shutil.copytree(folder, work, symlinks=True)
        git = new_repository(Path(place, "git"))
        base = add_folder(git, work)
        _make_writable(work)
        for change in changes:
            change.make(Scratch(git, work, agent))
        return _between(git, base, add_folder(git, work))


def _between(git: Git, base: str, tree: str) -> _Difference:
    entries = git.changes(base, tree)
    if not entries:
        raise CannotPropose("nothing would change")
    odd = next((entry for entry in entries if entry.mode not in _MODES), None)
    if odd is not None:
        raise CannotPropose(f"{odd.path} would be no plain file (mode {odd.mode}); only those can be proposed")
    before = {entry.path: git.file(base, entry.path) for entry in entries}
    after = {entry.path: None if entry.is_removed else git.blob(entry.blob) for entry in entries}
    files = tuple(_changed(entry.path, _MODES[entry.mode], after[entry.path]) for entry in entries)
    return _Difference(base, tree, git.diff(base, tree), files, before, after)


def _proposal(agent: str, kind: Kind, found: _Difference, why: tuple[str, int], origin: Origin) -> Proposal:
    rationale, now_ns = why
    return Proposal(
        agent=agent,
        kind=kind,
        base=found.base,
        tree=found.tree,
        diff=found.diff,
        files=found.files,
        rationale=rationale[:MAX_RATIONALE],
        made_at_ns=now_ns,
        expires_at_ns=now_ns + _DAY_NS,
        nonce=os.urandom(16).hex(),
        task=origin.task,
        correlation=origin.correlation,
    )


def _encoded(proposal: Proposal) -> bytes:
    return msgspec.json.encode(proposal)


def _make_writable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def _changed(path: str, mode: FileMode, content: bytes | None) -> ChangedFile:
    return ChangedFile(path=path, mode=mode, sha256="" if content is None else sha256_hex(content))
