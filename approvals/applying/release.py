"""Release folders: exactly the files of one git tree, read-only, and the link that says which one is live."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import get_args

from approvals.git import Git, tree_of_folder
from bus.surroundings import Home
from schemas.approvals import EMPTY_TREE, FileMode
from schemas.errors import AgentbusError, InvalidDocument


class ReleaseDiffers(AgentbusError):
    """The files of a release are not those of its tree: somebody changed them."""


def make_release(git: Git, home: Home, agent: str, tree: str) -> Path:
    """Write the release folder of `tree`, unless it is there; nothing half-written is ever seen.

    Raises:
        ReleaseDiffers: a folder of that name exists with other files. InvalidDocument: the tree has links or the like.
    """
    folder = home.release(agent, tree)
    if not folder.exists():
        _require_plain(git, agent, tree)
        fresh = folder.with_name(f".{tree}.{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        with git.indexed() as index:
            index.run("read-tree", tree)
            index.over(fresh).run("checkout-index", "--all")
        _make_read_only(fresh)
        fresh.rename(folder)
        _sync(folder.parent)
    found = tree_of_folder(folder)
    if found != tree:
        raise ReleaseDiffers(f"{folder} holds tree {found[:12]}; remove that folder, it is made again from git")
    return folder


def switch(home: Home, agent: str, tree: str) -> None:
    """Make the release of `tree` the live one, atomically: the link is the old or the new one, never missing."""
    link = home.live(agent)
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{agent}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(home.release(agent, tree), link.parent))
    fresh.rename(link)
    _sync(link.parent)


def live_tree(home: Home, agent: str) -> str:
    """The tree that the live link names, empty when there is none."""
    link = home.live(agent)
    return link.readlink().name if link.is_symlink() else ""


def _require_plain(git: Git, agent: str, tree: str) -> None:
    odd = next((entry for entry in git.changes(EMPTY_TREE, tree) if entry.mode not in get_args(FileMode)), None)
    if odd is not None:
        raise InvalidDocument(
            f"agents/{agent}/{odd.path} is no plain file (mode {odd.mode}); put the file itself there"
        )


def _make_read_only(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            executable = path.stat().st_mode & stat.S_IXUSR
            _sync(path)
            path.chmod(0o555 if executable else 0o444)
        else:
            path.chmod(0o555)
    folder.chmod(0o555)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
