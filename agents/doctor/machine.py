"""The machine: room on its disks, its kernel, the users that agents run as."""

from __future__ import annotations

import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path

from agents.doctor.finding import Finding, doubtful, fine, one_line, wrong
from agents.observing import Place

_LEAST_BYTES = 16 * 2**20
"""Less, and nats-server is not started: on a full disk it removes streams that it cannot open."""
_ENOUGH_BYTES = 2**30
_UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")


async def disk(place: Place) -> Sequence[Finding]:
    """Room where the store, the spools and the releases lie."""
    folders = [folder for folder in (place.home.store, place.home.root) if folder.exists()] or [Path("/")]
    return [_room(folder) for folder in _of_different_disks(folders)]


def _of_different_disks(folders: Sequence[Path]) -> list[Path]:
    return list({folder.stat().st_dev: folder for folder in folders}.values())


def _room(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    free = f"{usage.free // 2**20:,} MiB free of {usage.total // 2**20:,} at {folder}"
    if usage.free < _LEAST_BYTES:
        return wrong(f"the disk is full: {free}", "make room; do not restart nats-server before")
    if usage.free < min(_ENOUGH_BYTES, usage.total // 10):
        return doubtful(f"little room: {free}", "make room, or move old archives: agentbus audit rotate")
    return fine(free)


async def cgroups(_place: Place) -> Sequence[Finding]:
    """With version 1 systemd takes some bounds and does not keep them."""
    if _UNIFIED.exists():
        return [fine("cgroups of version 2: every bound of the units is kept")]
    return [
        doubtful(
            "cgroups of version 1: IPAddressDeny=, SocketBindDeny= and MemoryHigh= of the units are not kept",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )
    ]


async def users(place: Place) -> Sequence[Finding]:
    """Each agent has a user of its own."""
    missing = [f"agent-{agent}" for agent in place.fleet.agents if not _is_user(f"agent-{agent}")]
    if missing:
        return [wrong(one_line(len(missing), "no such user", missing[0]), place.provision())]
    return [fine(f"{len(place.fleet.agents)} agents have a user each")]


def _is_user(name: str) -> bool:
    try:
        return pwd.getpwnam(name) is not None
    except KeyError:
        return False
