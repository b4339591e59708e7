"""Files: what provisioning made is as it made it, and nobody else writes to the home."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from agents.doctor.finding import Finding, doubtful, fine, one_line, wrong
from agents.observing import Place
from agents.observing.drift import drifted


async def provisioned(place: Place) -> Sequence[Finding]:
    """Keys, their modes and owners, what is generated from them, the server's loaded keys, streams and consumers."""
    looked, is_running = await drifted(place.fleet, place.home)
    found = [wrong(f"{drift.what} {drift.says}", drift.fix) for drift in looked.found]
    if not is_running:
        found.append(doubtful("what the server has loaded cannot be seen", "start the server, then run this again"))
    return found or [fine(f"{looked.count} keys, files, streams and consumers are as provisioned")]


async def modes(place: Place) -> Sequence[Finding]:
    """Nothing of the home can be written by everybody."""
    open_to_all = [path for path in _all(place.home.root) if _is_open_to_all(path)]
    if open_to_all:
        says = one_line(len(open_to_all), "everybody can write", str(open_to_all[0]))
        return [wrong(says, f"chmod -R o-w {place.home.root}")]
    return [fine("nobody else writes to the home")]


def _all(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(parent) / name


def _is_open_to_all(path: Path) -> bool:
    mode = path.lstat().st_mode
    return bool(mode & stat.S_IWOTH) and not stat.S_ISLNK(mode) and not stat.S_ISSOCK(mode)
