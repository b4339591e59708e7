"""The applier: derives the verdict itself, puts the approved change to work, and takes it back when it is not healthy.

It is woken by the approval service and believes nothing of it: proposals and votes are read from the
server's record on its own connection, under the rules that are on record there. Changes of different agents go on at
the same time, those of one agent one after the other, and those of the fleet's own files alone. What a crash
interrupted is begun again from the start (`steps`).

It alone writes stream OUTCOMES: what became of a proposal, and which rules are in force from when on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import msgspec
import structlog

from approvals.applying import glass
from approvals.applying.drift import Drift, looked
from approvals.applying.steps import Application, Refused, RolledBack, Tools, checked, emit
from approvals.change.examiner import Examiner
from approvals.errors import GitFailed
from approvals.git import BRANCH
from approvals.repository import Rulebook, keep_fleet_tree, rules_in_force
from approvals.verdict.fold import Ledger
from approvals.verdict.machine import Case, at_time
from approvals.verdict.records import MissedRecord, Records, begin, feed
from bus.background import Background, OnFailure, only_logged, vital, watched
from bus.connection import Connection, Msg, Subscription
from bus.jetstream import store
from schemas import names, subjects
from schemas.approvals import OutcomeRecord, Result, RulesRecord
from schemas.audit import Outcome
from schemas.errors import AgentbusError, InvalidDocument

_log = structlog.get_logger("applier")
_SWEEP_S = 5.0
_RETRY_S = 5.0
_COMPARE_S = 60.0
FLEET = ""
"""Stands for the fleet's own files among the agents that are being changed."""

# That a proposal expired is told by the approval service, which tells of every verdict.
_ENDS: dict[Result, tuple[str, Outcome]] = {
    "checked": ("apply.checked", "success"),
    "applied": ("apply.applied", "success"),
    "rolled_back": ("apply.rolled_back", "failure"),
    "refused": ("apply.refused", "denied"),
    "overturned": ("apply.overturned", "success"),
}


class Applier:
    """One instance per host."""

    def __init__(self, connection: Connection, tools: Tools) -> None:
        self._connection = connection
        self._tools = tools
        self._records = Records(connection, names.APPLIER)
        self._rulebook = Rulebook(tools.git)
        self._ledger = Ledger(rules_in_force(tools.git), self._rulebook)
        self._examiner = Examiner(tools.git)
        self._drift = Drift(tools.git, tools.home, tools.evidence, tools.audit)
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        self._busy: set[str] = set()
        self._checking: set[str] = set()
        self._running = Background()
        self._on_failure: OnFailure = only_logged
        self._is_lost = False
        self._subscription: Subscription | None = None
        self._loops: list[asyncio.Task[None]] = []

    async def start(self, on_failure: OnFailure = only_logged) -> None:
        """Read the record from its start, finish what a crash interrupted, then wait to be woken."""
        self._on_failure = on_failure
        self._subscription = await self._connection.subscribe(subjects.Apply.pattern(), self._on_wake)
        await asyncio.to_thread(keep_fleet_tree, self._tools.git)
        await self._replay()
        self._wake.set()
        self._loops = [
            vital(self._run(), "applying", on_failure),
            vital(self._compare(), "comparing what runs with what was approved", on_failure),
        ]

    async def drain(self, timeout_s: float) -> None:
        """Finish the applications that are under way, if they end in time; a new start repeats them otherwise."""
        if self._subscription:
            await self._connection.drain(self._subscription)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._running.drain(timeout_s)

    def _on_wake(self, _message: Msg) -> None:
        self._wake.set()

    # -- reading the record ------------------------------------------------------------------------------

    async def _replay(self) -> None:
        async with self._reading:
            await self._records.restart()
            found = await self._records.new()
            self._ledger = begin(rules_in_force(self._tools.git), self._rulebook, found)
            for stream, record in found:
                feed(self._ledger, stream, record)
            self._is_lost = False

    async def _read(self) -> None:
        if self._is_lost:
            await self._replay()
            return
        async with self._reading:
            try:
                for stream, record in await self._records.new():
                    feed(self._ledger, stream, record)
            except MissedRecord as error:
                _log.warning("applier.read_again", reason=str(error))
                self._is_lost = True
        if self._is_lost:
            await self._replay()

    # -- acting ------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # a wake-up may get lost; the record does not
            self._wake.clear()
            try:
                await self._act()
            except (AgentbusError, OSError) as error:
                # The server, the trail or the disk is away. What was begun is begun again, not in a hurry.
                _log.error("applier.failed", reason=str(error))
                await asyncio.sleep(_RETRY_S)

    async def _act(self) -> None:
        await self._read()
        if FLEET not in self._busy:
            await self._note_rules()
        for case in sorted(self._ledger.unsettled.values(), key=lambda case: (case.verdict_sequence, case.sequence)):
            await self._consider(at_time(case, time.time_ns()))

    async def _consider(self, case: Case) -> None:
        if case.state == "expired":
            await self._conclude(case, "expired", "nobody decided in time")
        elif case.state == "open" and (problem := await self._examiner.problem_of(case, self._ledger)):
            await self._conclude(case, "refused", problem)
        elif case.state == "open" and _is_to_be_tried(case) and case.id not in self._checking:
            self._begin_check(case)
        elif case.state in {"approved", "broken", "lifted"} and self._is_free(case):
            self._begin(case)  # a check that is under way ends first, so that it cannot close what is being applied

    def _is_free(self, case: Case) -> bool:
        """Whether nothing else is being done to what the case changes. The fleet's own files change alone."""
        if case.id in self._checking:
            return False
        if case.proposal.is_of_fleet:
            return not self._busy
        return FLEET not in self._busy and case.proposal.agent not in self._busy

    def _begin(self, case: Case) -> None:
        what = FLEET if case.proposal.is_of_fleet else case.proposal.agent
        self._busy.add(what)
        self._beside(self._patiently(self._end(case), case, self._busy, what), f"applying {case.id}")

    def _begin_check(self, case: Case) -> None:
        if not self._checking:  # one at a time: what is checked may take all the processor that it is given
            self._checking.add(case.id)
            self._beside(self._patiently(self._check(case), case, self._checking, case.id), f"checking {case.id}")

    def _beside(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """What fails as nobody expected ends the process, which its service manager starts again, ever later."""
        watched(self._running.begin(work), what, self._on_failure)

    async def _patiently(self, work: Coroutine[Any, Any, None], case: Case, doing: set[str], what: str) -> None:
        """Do it; where the server, the trail or the disk is away it is begun again at the next look."""
        try:
            await work
        except (AgentbusError, OSError) as error:
            _log.error("applier.interrupted", proposal=case.id, reason=str(error))
            await asyncio.sleep(_RETRY_S)
        doing.discard(what)
        self._wake.set()

    async def _check(self, case: Case) -> None:
        """Run the proposal's own checks before anybody is asked to read it for long."""
        if case.proposal.is_of_fleet:
            await self._conclude(case, "checked", "the fleet's files can be read and would be in force")
            return
        found = await checked(self._tools, case.proposal)
        await self._conclude(case, "checked" if found.passed else "refused", f"{found.summary} ({found.where})")

    async def _end(self, case: Case) -> None:
        application = Application(self._tools, case, self._ledger.rules)
        steps = {"approved": self._apply, "broken": self._enforce, "lifted": self._undo}
        await steps[case.state](application)

    async def _apply(self, application: Application) -> None:
        case = application.case
        try:
            commit = await application.run()
        except Refused as error:
            await self._conclude(case, "refused", str(error))
        except RolledBack as error:
            await self._conclude(case, "rolled_back", str(error))
        else:
            if case.proposal.is_of_fleet:
                await self._note_rules(case.id)
            await self._conclude(case, "applied", _applied(case), commit)

    async def _enforce(self, application: Application) -> None:
        try:
            said = await glass.enforce(application)
        except Refused as error:
            await self._conclude(application.case, "refused", str(error))
        else:
            await self._conclude(application.case, "applied", said)

    async def _undo(self, application: Application) -> None:
        said = await glass.undo(application)
        await self._conclude(application.case, "overturned", said)

    # -- writing the record ------------------------------------------------------------------------------

    async def _note_rules(self, proposal: str = "") -> None:
        """Put on record which rules are in force, when they are others than those on record."""
        git = self._tools.git
        try:
            rules = rules_in_force(git)
        except (InvalidDocument, GitFailed) as error:
            _log.error("applier.rules_unreadable", reason=str(error))  # those on record stay in force
            return
        if rules.digests == self._ledger.rules.digests and self._ledger.are_rules_on_record:
            return
        await asyncio.to_thread(keep_fleet_tree, git)
        digests = dict(rules.digests)
        record = RulesRecord(commit=git.line("rev-parse", BRANCH), **digests, proposal=proposal)
        self._tools.audit.emit(
            "policy.changed", action="approved" if proposal else "by hand", resource=proposal,
            metadata={"policy": record.policy, "fleet": record.fleet},
        )  # fmt: skip
        await self._tools.audit.confirm()
        await store(self._connection, str(subjects.Outcome(subjects.RULES)), msgspec.json.encode(record))
        await self._read()

    async def _conclude(self, case: Case, result: Result, reason: str, commit: str = "") -> None:
        if result in _ENDS:
            kind, told = _ENDS[result]
            emit(self._tools.audit, kind, case, result, outcome=told, reason=reason)
        outcome = OutcomeRecord(
            proposal=case.id, digest=case.digest, result=result, reason=reason,
            verdict_sequence=case.verdict_sequence, commit=commit,
        )  # fmt: skip
        await store(self._connection, str(subjects.Outcome(case.id)), msgspec.json.encode(outcome))
        await self._read()

    # -- comparing ---------------------------------------------------------------------------------------

    async def _compare(self) -> None:
        while True:
            await looked(self._drift, self._ledger.rules.fleet, self._busy)
            await asyncio.sleep(_COMPARE_S)


def _applied(case: Case) -> str:
    if case.proposal.is_of_newcomer:
        return (
            f"its files are in the fleet's repository; let it join with: agentbus fleet add agent {case.proposal.agent}"
        )
    return "healthy as the approved tree"


def _is_to_be_tried(case: Case) -> bool:
    """Whether the change was not tried yet. A call of a tool changes nothing: there is nothing to try, nor to apply."""
    return not case.checks and case.proposal.kind != "call"
