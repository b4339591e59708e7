"""The processes of the approvals layer: `agentbus approvals serve` and `agentbus applier serve`."""

from __future__ import annotations

import os
from pathlib import Path

from agents.processes.service import Identity, opened, profile_of, service
from agents.processes.trying import sandbox_of
from approvals.applying.applier import Applier
from approvals.applying.control import Control, SupervisorControl
from approvals.applying.evidence import Evidence
from approvals.applying.journal import Journal
from approvals.applying.steps import Tools
from approvals.applying.systemd_control import SystemdControl
from approvals.git import Git
from approvals.repository import rules_in_force
from approvals.reviewing.service import ApprovalService
from approvals.reviewing.trail import Trail
from bus.health.checks import OK, Check, Finding, State
from bus.health.numbers import Sample
from bus.provision.streams import trail_streams
from bus.requests.breaker import NEVER
from bus.requests.caller import Caller
from bus.surroundings import Home, Surroundings
from schemas import names

SUPERVISOR_SOCKET = "AGENTBUS_SUPERVISOR"
_DRAIN_S = 20.0
_UNREAD_S, _LONG_UNREAD_S = 30.0, 120.0
"""It reads every two seconds."""


async def serve_approvals(place: Surroundings) -> None:
    """Run the approval service until told to stop."""
    git = Git(place.home.repository)
    rules_in_force(git)  # a policy that cannot be read must stop the start, not the first vote
    async with service(Identity(names.APPROVALS, is_agent=False, has_bus=False), place) as running:
        approvals = ApprovalService(running.own, git, Trail(running.audit, place.state / "told.json"))
        await approvals.start(running.signs.fail)
        running.report.health.add("record", record_check(approvals))
        running.report.numbers.looks.append(
            lambda: [Sample("agentbus_proposals_open", (), len(approvals.ledger.unsettled))]
        )
        await running.serve("answering reviewers")
        await approvals.drain(_DRAIN_S)


async def serve_applier(place: Surroundings) -> None:
    """Run the applier until told to stop."""
    git = Git(place.home.repository)
    rules_in_force(git)
    identity = Identity(names.APPLIER, is_agent=False)
    async with service(identity, place) as running:
        calls = Caller(running.bus, names.APPLIER, breaking=NEVER)
        await calls.start()
        profile = profile_of(identity, place, running.signs, names.TRAIL_CREDENTIAL)
        trail = await opened(profile, running.signs)
        tools = Tools(
            caller=calls,
            audit=running.audit,
            git=git,
            home=place.home,
            control=_control(place.home),
            journal=Journal(place.state / "journal.jsonl"),
            evidence=Evidence(trail),
            sandbox=sandbox_of(place.home),
        )
        running.report.stands_on(trail, trail_streams())
        applier = Applier(running.own, tools)
        await applier.start(running.signs.fail)
        await running.serve("applying what is approved")
        await applier.drain(_DRAIN_S)
        await trail.close()


def record_check(approvals: ApprovalService) -> Check:
    """Whether it knows what was proposed and how people voted."""

    def check() -> Finding:
        unread_s = approvals.unread_s
        if unread_s < _UNREAD_S:
            return OK
        state: State = "failed" if unread_s >= _LONG_UNREAD_S else "degraded"
        return Finding(state, f"proposals and votes were last read {unread_s:.0f} s ago; see its log")

    return check


def _control(home: Home) -> Control:
    socket = os.environ.get(SUPERVISOR_SOCKET)
    return SupervisorControl(Path(socket)) if socket else SystemdControl(home)
