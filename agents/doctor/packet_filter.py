"""Whether the kernel bounds how often one source may try to connect, and as provisioned."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agents.doctor.finding import Finding, doubtful, fine, wrong
from agents.observing import Place
from bus.provision.packet_filter import TABLE

_NFT: Final = Path("/usr/sbin/nft")
"""Where the unit looks for it."""
_UNIT: Final = "agentbus-packet-filter"
_LIST: Final = f"{_NFT} --stateless --terse list table {TABLE}"
_UNBOUNDED: Final = "nothing bounds how often one source may try to connect"


async def bounded(place: Place) -> Sequence[Finding]:
    """The table is loaded, and is what its file says."""
    return [await asyncio.to_thread(_bounded, place, place.home.packet_filter)]


def _bounded(place: Place, file: Path) -> Finding:
    if not _NFT.exists():
        fix = f"apt install nftables, then: systemctl start {_UNIT}"
        return doubtful(f"{_UNBOUNDED}: there is no {_NFT}", fix)
    if not file.exists():
        return doubtful(f"{_UNBOUNDED}: there is no {file}", place.provision())
    if os.geteuid() != 0:
        return doubtful("how often one source may try to connect, root alone can see", "run this as root")
    loaded = _said(_LIST)
    if not loaded:
        return doubtful(f"{_UNBOUNDED}: the table {TABLE} is not loaded", f"systemctl restart {_UNIT}")
    # An empty network takes the file as well: what nft says of it there, it has to say of the one in force.
    if loaded != _said(f"{_NFT} -f {shlex.quote(str(file))} && {_LIST}", "unshare", "--net"):
        return wrong(f"the table {TABLE} is not what {file} says", f"systemctl reload-or-restart {_UNIT}")
    return fine(f"attempts to connect are bounded by the table {TABLE}")


def _said(script: str, *within: str) -> str:
    """What a command prints; empty where it fails."""
    command = [*within, "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout if done.returncode == 0 else ""
