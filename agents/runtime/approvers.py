"""The processes of the approvals layer: `agentbus approvals serve` and `agentbus applier serve`."""

from __future__ import annotations

import os
from pathlib import Path

from agents.runtime.service import Identity, service
from approvals.applier import Applier, Tools
from approvals.control import Control, SupervisorControl, SystemdControl
from approvals.git import Git
from approvals.health import HealthWindow
from approvals.journal import Journal
from approvals.repository import rules_in_force
from approvals.service import ApprovalService
from approvals.trail import Trail
from bus.breaker import NEVER
from bus.caller import Caller
from bus.surroundings import Surroundings
from schemas import names

SUPERVISOR_SOCKET = "AGENTBUS_SUPERVISOR"
_DRAIN_S = 20.0


async def serve_approvals(place: Surroundings) -> None:
    """Run the approval service until told to stop."""
    git = Git(place.home.repository)
    rules_in_force(git)  # a policy that cannot be read must stop the start, not the first vote
    async with service(Identity(names.APPROVALS, is_agent=False, has_bus=False), place) as running:
        approvals = ApprovalService(running.own, git, Trail(running.audit, place.state / "told.json"))
        await approvals.start(running.signs.fail)
        await running.serve("answering reviewers")
        await approvals.drain(_DRAIN_S)


async def serve_applier(place: Surroundings) -> None:
    """Run the applier until told to stop."""
    git = Git(place.home.repository)
    rules_in_force(git)
    async with service(Identity(names.APPLIER, is_agent=False), place) as running:
        calls = Caller(running.bus, names.APPLIER, breaking=NEVER)
        await calls.start()
        applier = Applier(
            Tools(
                connection=running.own,
                caller=calls,
                audit=running.audit,
                git=git,
                home=place.home,
                control=_control(),
                journal=Journal(place.state / "journal.jsonl"),
                window=HealthWindow(),
            )
        )
        await applier.start(running.signs.fail)
        await running.serve("applying what is approved")
        await applier.drain(_DRAIN_S)


def _control() -> Control:
    socket = os.environ.get(SUPERVISOR_SOCKET)
    return SupervisorControl(Path(socket)) if socket else SystemdControl()
