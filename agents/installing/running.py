"""Running the programs that an installation needs."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import CommandFailed

_TIMEOUT_S = 900
_TOLD_LINES = 12


def run(command: Sequence[str], *, folder: Path | None = None) -> str:
    """Run it and return what it printed.

    Raises:
        CommandFailed: it is not there, it ended badly, or it took 15 minutes.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{shown(command)}: {error}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_TOLD_LINES:]
        raise CommandFailed("\n".join([f"{shown(command)} ended with {done.returncode}", *said]))
    return done.stdout


def shown(command: Sequence[str]) -> str:
    """As a person would type it."""
    return shlex.join(command)
