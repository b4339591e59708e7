"""A guest with nothing of ours installed, and the checkout to install from, where it is on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.harness.systemd_boot import Guest
from tests.harness.systemd_units import CHECKOUT

AGENTBUS = f"{sys.prefix}/bin/python -P -m agents.cli"
"""The command as it is in the environment of the checkout."""


def bare_guest() -> Guest:
    """This machine without an installation; the checkout and its environment are read-only there."""
    folders = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}
    return Guest(binds={str(folder): str(folder) for folder in sorted(folders)})
