"""Which sandbox a process uses to try a proposed change."""

from __future__ import annotations

import dataclasses
import os
import sys

from approvals.trial.jail import Limits
from approvals.trial.sandbox import LocalSandbox, Sandbox, UnitSandbox
from bus.surroundings import Home

SUPERVISOR_SOCKET = "AGENTBUS_SUPERVISOR"
_START_S = 10.0
"""A busy machine takes long to start the program; what ends a check in time is the program itself."""


def sandbox_of(home: Home) -> Sandbox:
    """Under the supervisor of `agentbus up` the local one; else the unit, which refuses when it is not installed."""
    return local_sandbox(home) if os.environ.get(SUPERVISOR_SOCKET) else UnitSandbox()


def local_sandbox(
    home: Home | None = None, *, limits: Limits | None = None, seconds: float = 50.0, may_use_namespaces: bool = True
) -> LocalSandbox:
    """A sandbox on this machine in which a check may take `seconds`, and that never sees `home`."""
    limits = limits or Limits()
    command = (sys.executable, "-P", "-m", "agents.cli", "agent", "check", "-", "--seconds", f"{seconds:g}")
    return LocalSandbox(
        command,
        hidden=[home.root] if home else [],
        limits=dataclasses.replace(limits, seconds=seconds + _START_S),
        may_use_namespaces=may_use_namespaces,
    )
