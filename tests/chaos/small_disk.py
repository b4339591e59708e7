"""Disks that a run can fill: a small file system for a server's store, in a mount namespace of the run's own.

That needs no root where the kernel gives user namespaces. Where it does not, no file of the server's process may grow
instead (RLIMIT_FSIZE), which nats-server 2.15 takes as it takes a disk that is full.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from bus.server import LocalServer

SIZE = 64 * 1024 * 1024
_OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
_ENTERED = "CHAOS_OWN_MOUNTS"
_CHUNK = bytes(65536)


def enter() -> None:
    """Begin this program again where it may mount; return where it is, or where the machine does not let it."""
    if not may_mount() and _is_let_in():
        sys.stdout.flush()
        command = [*_OWN_MOUNTS, sys.executable, *sys.orig_argv[1:]]
        os.execvpe(command[0], command, os.environ | {_ENTERED: "1"})  # noqa: S606  no shell is wanted


def may_mount() -> bool:
    """Whether this program has mounts of its own."""
    return _ENTERED in os.environ


def _is_let_in() -> bool:
    """Tried by another process: who enters and then may not mount cannot go back."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", folder]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False


class Disk(Protocol):
    """Where a server keeps its store. `how` says what makes it full."""

    how: str

    def fill(self) -> None:
        """Leave no room; done again and again, as what the server gives up is room, too."""

    def free(self) -> None:
        """There is room again."""

    @property
    def is_full(self) -> bool:
        """Whether whoever looks sees that there is none."""


class SmallDisk:
    """The file system at `folder`, which holds nothing but the store and the ballast."""

    how = f"a file system of {SIZE // 1024**2} MiB without a byte left"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Add to the ballast until there is no room for more."""
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(_CHUNK)

    def free(self) -> None:
        """Throw the ballast away."""
        self._ballast.unlink(missing_ok=True)

    @property
    def is_full(self) -> bool:
        """Asks the file system."""
        return shutil.disk_usage(self._folder).free == 0


class NoGrowth:
    """The disk of all, on which this server's process may let no file grow."""

    how = "no mounts for this user; no file of the server may grow instead"

    def __init__(self, server: LocalServer) -> None:
        self._server = server

    def fill(self) -> None:
        """Take effect on the process that runs now."""
        self._allow(0)

    def free(self) -> None:
        """The same; one that is started later may do everything anyhow."""
        self._allow(resource.RLIM_INFINITY)

    def _allow(self, size: int) -> None:
        with suppress(ProcessLookupError):
            _soft, hard = resource.prlimit(self._server.process.pid, resource.RLIMIT_FSIZE)
            size = hard if size == resource.RLIM_INFINITY else size
            resource.prlimit(self._server.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    @property
    def is_full(self) -> bool:
        """Nobody else sees it."""
        return False
