"""An installation: its home, the fleet in force, and who runs its processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from approvals.errors import GitFailed
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.surroundings import Home
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet

_UNITS = Path("/etc/systemd/system")
_BOOTED = Path("/run/systemd/system")
_A_UNIT = "agent@.service"


class Runner(StrEnum):
    """Who starts and restarts the processes."""

    SYSTEMD = "systemd"
    SUPERVISOR = "agentbus up"


@dataclass(frozen=True)
class Place:
    """One installation. Nothing in it is written to."""

    home: Home
    runner: Runner
    environment: Mapping[str, str] = field(repr=False)
    now_s: float
    """The clock of this machine, since the epoch."""

    @cached_property
    def fleet(self) -> Fleet:
        """The fleet in force.

        Raises:
            InvalidDocument: there is none, or its file cannot be read. GitFailed: its repository cannot.
        """
        if not (self.home.repository / "HEAD").exists():
            raise InvalidDocument(f"there is no fleet in {self.home.root}")
        return rules_in_force(Git(self.home.repository)).fleet

    @property
    def is_known(self) -> bool:
        """Whether there is a fleet that can be read; checks of it say nothing where there is none."""
        try:
            return self.fleet is not None
        except (InvalidDocument, GitFailed, OSError):
            return False

    def start(self, process: str, unit: str) -> str:
        """The command that starts a process again."""
        if self.runner is Runner.SYSTEMD:
            return f"systemctl restart {unit}"
        agent = process.removeprefix("agent-") if process.startswith("agent-") else ""
        return f"agentbus agent restart {agent} --home {self.home.root}" if agent else self.start_all()

    def start_all(self) -> str:
        """The command that starts the fleet."""
        if self.runner is Runner.SYSTEMD:
            return "systemctl start agentbus.target"
        return f"agentbus down --home {self.home.root}; agentbus up --home {self.home.root} --detach"

    def provision(self) -> str:
        """The command that makes what is missing."""
        return f"agentbus provision --home {self.home.root}"


def place_of(root: Path, now_s: float) -> Place:
    """The installation whose home is `root`. Units count where systemd runs this machine and has ours."""
    is_system = _BOOTED.is_dir() and (_UNITS / _A_UNIT).exists() and root.resolve() == Path("/var/lib/agentbus")
    return Place(
        home=Home(root.resolve()),
        runner=Runner.SYSTEMD if is_system else Runner.SUPERVISOR,
        environment=dict(os.environ),
        now_s=now_s,
    )
