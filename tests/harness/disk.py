"""Disks that are full: as far as this process can see, and a real small one."""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from structlog.testing import capture_logs

from tests.harness.needs import Reason, skip


@contextmanager
def files_up_to(size: int) -> Iterator[list[dict[str, object]]]:
    """Every write beyond `size` bytes of a file fails, in this process alone; gives what was logged meanwhile.

    The log is held back, for it may go to a file, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with capture_logs() as logged:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield logged  # type: ignore[misc]  # lines are mutable mappings
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, previous)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes at `folder`, which is made. Only an administrator can mount one: else it is skipped."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        skip(Reason.MOUNT, mounted.stderr.decode().strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
