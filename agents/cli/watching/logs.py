"""`agentbus logs`: the program that shows them, started in this one's place. Its command line is printed first."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from agents.cli.run import log_quietly
from agents.observing import Place, Process, Runner, place_of, processes_of
from agents.observing.processes import named
from schemas.errors import InvalidDocument


def logs(root: Path, process: str, *, is_following: bool, lines: int) -> None:
    """Become journalctl, or tail.

    Raises:
        InvalidDocument: there is no such process, it has no log yet, or that program is not there.
    """
    log_quietly()
    place = place_of(root, time.time())
    chosen = named(place.fleet, process) if process else processes_of(place.fleet)
    follow = ["-f"] if is_following else []
    command = (_journal if place.runner is Runner.SYSTEMD else _tail)(place, chosen, [*follow, "-n", str(lines)])
    program = shutil.which(command[0])
    if program is None:
        raise InvalidDocument(f"{command[0]} is not installed; it shows the logs")
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    os.execv(program, command)  # noqa: S606  no shell: its arguments are the list above


def _journal(_place: Place, processes: Sequence[Process], options: list[str]) -> list[str]:
    return ["journalctl", *options, *(f"--unit={process.unit}" for process in processes)]


def _tail(place: Place, processes: Sequence[Process], options: list[str]) -> list[str]:
    folder = place.home.root / "log"
    there = [path for process in processes if (path := folder / f"{process.name}.log").exists()]
    if not there:
        raise InvalidDocument(f"there is no log of {', '.join(process.name for process in processes)} in {folder}")
    return ["tail", *options, *map(str, there)]
