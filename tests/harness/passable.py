"""Lets other users reach the interpreter that runs the tests, without changing the machine."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from approvals.trial.jail import _mount
from tests.harness.systemd_units import CHECKOUT

_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18


@contextmanager
def interpreter_for_all() -> Iterator[None]:
    """While it lasts, this thread and what it starts see a closed folder above the interpreter as an open one.

    Root's interpreter may lie in root's home, which nobody else may enter: in a mount namespace that folder becomes
    an empty one that shows the interpreter and nothing else. Nothing happens where there is no such folder.
    """
    needed = [path for path in (Path(sys.base_prefix), Path(sys.prefix), CHECKOUT) if _closed_above(path)]
    if os.geteuid() or not needed:
        yield
        return
    before, place = os.open("/proc/self/ns/mnt", os.O_RDONLY), Path.cwd()
    os.unshare(os.CLONE_NEWNS)
    try:
        _mount("", "/", "", _MS_REC | _MS_PRIVATE)
        opened = {path: os.open(path, os.O_PATH) for path in needed}
        for folder in {_closed_above(path) for path in needed}:
            _mount("tmpfs", str(folder), "tmpfs", 0, "mode=755,size=1m")
        for path, descriptor in opened.items():
            path.mkdir(parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{descriptor}", str(path), "", _MS_BIND | _MS_REC)
            os.close(descriptor)
        yield
    finally:
        os.setns(before, os.CLONE_NEWNS)
        os.chdir(place)
        os.close(before)


def _closed_above(path: Path) -> Path | None:
    """The topmost folder on the way to `path` that others may not pass."""
    closed = [folder for folder in path.parents if not folder.stat().st_mode & stat.S_IXOTH]
    return closed[-1] if closed else None
