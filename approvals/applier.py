"""The applier: derives the verdict itself, puts the approved tree live, and takes it back when it is not healthy.

It is woken by the approval service and believes nothing of it: proposals and votes are read from the
server's record on its own connection, under the policy it reads itself. Each step is in the journal
before it is taken; every step can be taken again, so after a crash the application is simply repeated
from the start, and the live link is always the old or the new release.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Literal, NoReturn

import msgspec
import structlog

from approvals.control import Control, RestartFailed
from approvals.errors import GitFailed
from approvals.examine import examine
from approvals.examiner import Examiner
from approvals.fold import Ledger
from approvals.git import BRANCH, Git
from approvals.health import HealthWindow, problem_of
from approvals.journal import Entry, Journal
from approvals.machine import Case, at_time
from approvals.records import MissedRecord, Records, feed
from approvals.release import ReleaseDiffers, live_tree, make_release, switch
from approvals.repository import commit_approved, rules_in_force
from bus.audit.emit import Audit
from bus.background import OnFailure, only_logged, vital
from bus.caller import Caller
from bus.connection import Connection, Msg, Subscription
from bus.jetstream import store
from bus.surroundings import Home
from schemas import names, subjects
from schemas.approvals import OutcomeRecord, Proposal
from schemas.audit import Outcome
from schemas.errors import AgentbusError

_log = structlog.get_logger("applier")
_SWEEP_S = 5.0
_RETRY_S = 5.0


Result = Literal["applied", "rolled_back", "refused"]
_ENDS: dict[Result, tuple[str, Outcome]] = {
    "applied": ("apply.applied", "success"),
    "rolled_back": ("apply.rolled_back", "failure"),
    "refused": ("apply.refused", "denied"),
}


class Refused(AgentbusError):
    """The record does not hold what it would take to apply this; nothing was changed."""


class RolledBack(AgentbusError):
    """The change was live, was not healthy, and is gone again."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the applier works with. `caller` speaks on the bus as `applier`, for the canary."""

    connection: Connection
    caller: Caller
    audit: Audit
    git: Git
    home: Home
    control: Control
    journal: Journal
    window: HealthWindow


class Applier:
    """One instance per host."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._records = Records(tools.connection, names.APPLIER)
        self._ledger = self._new_ledger()
        self._examiner = Examiner(tools.git)
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._subscription: Subscription | None = None
        self._loop: asyncio.Task[None] | None = None

    async def start(self, on_failure: OnFailure = only_logged) -> None:
        """Read the record from its start, finish what a crash interrupted, then wait to be woken."""
        self._subscription = await self._tools.connection.subscribe(subjects.Apply.pattern(), self._on_wake)
        await self._replay()
        self._wake.set()
        self._loop = vital(self._run(), "applying", on_failure)

    async def drain(self, timeout_s: float) -> None:
        """Finish the application that is under way, if it ends in time; a new start repeats it otherwise."""
        if self._subscription:
            await self._tools.connection.drain(self._subscription)
        self._is_stopping = True
        self._wake.set()
        if self._loop:
            await asyncio.wait([self._loop], timeout=timeout_s)
            self._loop.cancel()

    def _on_wake(self, _message: Msg) -> None:
        self._wake.set()

    def _new_ledger(self) -> Ledger:
        return Ledger(rules_in_force(self._tools.git))

    async def _replay(self) -> None:
        self._ledger = self._new_ledger()
        await self._records.restart()
        await self._read()

    async def _read(self) -> None:
        self._ledger.rules = rules_in_force(self._tools.git)
        for stream, record in await self._records.new():
            feed(self._ledger, stream, record)

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # a wake-up may get lost; the record does not
            self._wake.clear()
            try:
                await self._apply_all()
            except MissedRecord as error:
                _log.warning("applier.read_again", reason=str(error))
                await self._replay()
                self._wake.set()
            except (AgentbusError, OSError) as error:
                # The server, the trail or the disk is away. What was begun is begun again, not in a hurry.
                _log.error("applier.failed", reason=str(error))
                await asyncio.sleep(_RETRY_S)

    async def _apply_all(self) -> None:
        await self._read()
        for case in sorted(self._ledger.cases.values(), key=lambda case: case.verdict_sequence):
            if self._is_stopping:
                return
            if case.state == "approved":
                await self._apply(case)
            elif problem := await self._examiner.problem_of(at_time(case, time.time_ns()), self._ledger.cases):
                await self._conclude(case, "refused", problem)

    async def _apply(self, case: Case) -> None:
        try:
            commit = await self._take_live(case)
            await self._conclude(case, "applied", "healthy as the approved tree", commit)
        except Refused as error:
            await self._conclude(case, "refused", str(error))
        except RolledBack as error:
            await self._conclude(case, "rolled_back", str(error))

    async def _take_live(self, case: Case) -> str:
        """Put the approved tree live and return the commit that records it."""
        tools, proposal = self._tools, case.proposal
        agent, tree = proposal.agent, proposal.tree
        if tools.git.tree_of_agent(agent) == tree and live_tree(tools.home, agent) == tree:
            return tools.git.line("rev-parse", BRANCH)  # an earlier run got this far and died before saying so
        self._require_fresh(case)
        await self._intend(case, "release")
        await asyncio.to_thread(self._make, proposal)
        await self._intend(case, "switch")
        switch(tools.home, agent, tree)
        problem = await self._restarted(agent, tree)
        if problem:
            await self._go_back(case, problem)
        await self._intend(case, "commit")
        try:
            return await asyncio.to_thread(commit_approved, tools.git, case)
        except GitFailed as error:
            await self._go_back(case, f"it could not be committed: {error}")

    def _require_fresh(self, case: Case) -> None:
        """An approval is for now. One that was begun in time and interrupted is finished all the same."""
        limit_s = rules_in_force(self._tools.git).policy.apply_within_s
        decided_ns = next(cast.at_ns for cast in case.votes if cast.sequence == case.verdict_sequence)
        begun = self._tools.journal.of(case.id)
        if not begun and time.time_ns() > decided_ns + limit_s * 1_000_000_000:
            raise Refused(f"it was approved more than {limit_s / 3600:g} hours ago; the agent has to propose again")

    def _make(self, proposal: Proposal) -> None:
        """Examine the proposal again, and write its release; nothing that runs is touched."""
        tools = self._tools
        problem = examine(tools.git, proposal.agent, proposal).problem
        if problem:
            raise Refused(problem)
        try:
            with tools.git.indexed() as index:
                index.apply(proposal.base, proposal.diff)
            make_release(tools.git, tools.home, proposal.agent, proposal.tree)
        except (GitFailed, ReleaseDiffers) as error:
            raise Refused(str(error)) from error

    async def _restarted(self, agent: str, tree: str) -> str:
        """Restart the agent; what is wrong with it as `tree`, or an empty string."""
        try:
            await self._tools.control.restart(agent)
            return await problem_of(self._tools.caller, agent, tree, self._tools.window)
        except RestartFailed as error:
            return str(error)

    async def _go_back(self, case: Case, problem: str) -> NoReturn:
        proposal = case.proposal
        await self._intend(case, "go_back")
        switch(self._tools.home, proposal.agent, proposal.base)
        again = await self._restarted(proposal.agent, proposal.base)
        raise RolledBack(problem + (f"; and the old tree: {again}" if again else ""))

    async def _intend(self, case: Case, step: str) -> None:
        """Say what is about to be done, on disk and on the trail, before it is done.

        Raises:
            AuditUnavailable: the trail does not confirm; then the step must not be taken.
        """
        proposal = case.proposal
        self._tools.journal.intend(Entry(case.id, step, proposal.agent, proposal.base, proposal.tree))
        self._emit("apply.intended", case, step)
        await self._tools.audit.confirm()

    async def _conclude(self, case: Case, result: Result, reason: str, commit: str = "") -> None:
        kind, told = _ENDS[result]
        self._emit(kind, case, result, outcome=told, reason=reason)
        outcome = OutcomeRecord(
            proposal=case.id, digest=case.digest, result=result, reason=reason,
            verdict_sequence=case.verdict_sequence, commit=commit,
        )  # fmt: skip
        await store(self._tools.connection, str(subjects.Outcome(case.id)), msgspec.json.encode(outcome))
        await self._read()

    def _emit(self, kind: str, case: Case, action: str, *, outcome: Outcome = "success", reason: str = "") -> None:
        metadata: dict[str, str | int | float | bool] = {
            "digest": case.digest,
            "tree": case.proposal.tree,
            "verdict": case.verdict_sequence,
        }
        resource = f"{case.proposal.agent}/{case.id}"
        self._tools.audit.emit(
            kind, action=action, resource=resource, outcome=outcome, reason=reason, metadata=metadata
        )
