"""A network of its own for a thread, with the product's packet filter in it: nothing of it reaches the machine's.

Source: network_namespaces(7), unshare(2).
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

from bus.provision.packet_filter import TABLE
from tests.harness.needs import Reason, needs

NFT = "/usr/sbin/nft"
"""Where the unit of the packet filter expects it."""
NOBODY = 65534


@functools.cache
def obstacle() -> Reason | None:
    """Why no packet filter can be tried here."""
    if not Path(NFT).exists() or not all(map(shutil.which, ("ip", "unshare"))) or os.geteuid() != 0:
        return Reason.NFT
    tried = subprocess.run(["unshare", "--net", NFT, "list", "tables"], capture_output=True, check=False)
    return Reason.NFT if tried.returncode else None


needs_nft = needs(obstacle() is None, obstacle())


def enter_own_network() -> None:
    """Have this thread, and every process that it starts from now on, in a network that has a loopback and nothing else."""
    os.unshare(os.CLONE_NEWNET)
    run("ip", "link", "set", "lo", "up")


def run(*command: str) -> str:
    """A command that must end well; what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def load(file: Path) -> None:
    """Put the packet filter in force, as its unit does."""
    run(NFT, "-f", str(file))


def unload() -> None:
    """Take it away."""
    run(NFT, f"table {TABLE}; delete table {TABLE}")


def dropped() -> dict[str, int]:
    """How many packets of each of its counters were dropped."""
    found = json.loads(run(NFT, "-j", "list", "counters", "table", *TABLE.split()))["nftables"]
    return {one["counter"]["name"]: one["counter"]["packets"] for one in found if "counter" in one}
