"""Builds the bytes of a proposal from what an agent wants to change. Runs in the proposer's process."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from approvals.errors import CannotPropose
from approvals.git import add_folder, new_repository
from approvals.kinds import kind_of
from schemas.approvals import ChangedFile, FileMode, Proposal
from schemas.ids import sha256_hex

_DAY_NS = 24 * 3600 * 1_000_000_000
MAX_RATIONALE = 2000


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the one occurrence of `find` in the file `path`; an empty `find` writes the whole file."""

    path: str
    find: str
    replace: str


def build_proposal(
    agent: str, folder: Path, edits: Sequence[Edit], *, rationale: str, now_ns: int, correlation: str = ""
) -> bytes:
    """The proposal that makes `edits` to the agent's `folder` (its release, which is not touched).

    Raises:
        CannotPropose: an edit does not fit the files, or nothing would change.
    """
    with tempfile.TemporaryDirectory(prefix="agentbus-propose-") as scratch:
        work = Path(scratch, "files")
        shutil.copytree(folder, work, symlinks=True)
        git = new_repository(Path(scratch, "git"))
        base = add_folder(git, work)
        _make_writable(work)
        for edit in edits:
            _apply_or_refuse(work, edit)
        tree = add_folder(git, work)
        entries = git.changes(base, tree)
        if not entries:
            raise CannotPropose("nothing would change")
        before = {entry.path: git.file(base, entry.path) for entry in entries}
        after = {entry.path: None if entry.is_removed else git.blob(entry.blob) for entry in entries}
        proposal = Proposal(
            agent=agent,
            kind=kind_of(before, after),
            base=base,
            tree=tree,
            diff=git.diff(base, tree),
            files=tuple(_changed(entry.path, entry.mode, after[entry.path]) for entry in entries),
            rationale=rationale[:MAX_RATIONALE],
            made_at_ns=now_ns,
            expires_at_ns=now_ns + _DAY_NS,
            nonce=os.urandom(16).hex(),
            correlation=correlation,
        )
        return msgspec.json.encode(proposal)


def _make_writable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def _apply_or_refuse(folder: Path, edit: Edit) -> None:
    try:
        _apply(folder, edit)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotPropose(f"{edit.path[:200]!r} is not a file of text that can be edited: {reason}") from None


def _apply(folder: Path, edit: Edit) -> None:
    path = folder / edit.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CannotPropose(f"{edit.path} is outside the agent's own folder")
    if not edit.find:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(edit.replace.encode())
        return
    text = path.read_bytes().decode() if path.is_file() else ""  # as bytes: line ends stay what they are
    if text.count(edit.find) != 1:
        raise CannotPropose(f"{edit.path} contains {edit.find[:60]!r} {text.count(edit.find)} times, not once")
    path.write_bytes(text.replace(edit.find, edit.replace).encode())


def _changed(path: str, mode: str, content: bytes | None) -> ChangedFile:
    known: FileMode = "100755" if mode == "100755" else "100644"
    return ChangedFile(path=path, mode=known, sha256="" if content is None else sha256_hex(content))
