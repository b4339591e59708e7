"""The approval service: shows proposals, answers votes, wakes the applier. It cannot vote and cannot apply.

The server records every proposal and vote; this service reads the record and answers from it. A live
message is only a wake-up and an address to answer, so a vote cast while the service was down counts.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace

import msgspec
import structlog

from approvals import render
from approvals.answers import Asked, as_json
from approvals.errors import IllegalStep
from approvals.examiner import Examiner
from approvals.fold import Judgement, Ledger, Recorded
from approvals.git import Git
from approvals.machine import Case, at_time
from approvals.records import MissedRecord, Records, feed
from approvals.repository import rules_in_force
from approvals.trail import Trail
from bus.background import Background, OnFailure, only_logged, vital
from bus.connection import Connection, Msg, Subscription
from schemas import names, subjects
from schemas.approvals import READING_VERBS, VOTING_VERBS, Receipt, name_of
from schemas.errors import A2AError, AgentbusError
from schemas.ids import sha256_hex

_log = structlog.get_logger("approvals")
_RECORD_WAIT_S = 3.0
_POLL_S = 0.01
_SWEEP_S = 2.0
_REMEMBERED = 5000
"""Messages whose judgement is kept, so that a live message finds its own."""
_HINT = "approvals.list ''"


class ApprovalService:
    """One instance per fleet."""

    def __init__(self, connection: Connection, git: Git, trail: Trail) -> None:
        self._connection = connection
        self._git = git
        self._trail = trail
        self._records = Records(connection, names.APPROVALS)
        self._ledger = self._new_ledger()
        self._examiner = Examiner(git)
        self._judged: dict[tuple[str, bytes], Judgement] = {}
        self._live: Counter[tuple[str, bytes]] = Counter()
        self._recorded: Counter[tuple[str, bytes]] = Counter()
        self._woken: set[str] = set()
        self._turn = asyncio.Lock()
        self._subscriptions: list[Subscription] = []
        self._running = Background()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, on_failure: OnFailure = only_logged) -> None:
        """Fold what was recorded so far, then answer."""
        await self._replay()
        for family in (subjects.Propose, subjects.Review, subjects.Outcome):
            self._subscriptions.append(await self._connection.subscribe(family.pattern(), self._on_message))
        await self._connection.flush()
        self._sweeper = vital(self._sweep(), "reading the record", on_failure)

    async def drain(self, timeout_s: float) -> None:
        """Take no more messages and answer those that arrived."""
        for subscription in self._subscriptions:
            await self._connection.drain(subscription)
        if self._sweeper:
            self._sweeper.cancel()
        await self._running.drain(timeout_s)

    # -- reading the record ------------------------------------------------------------------------------

    def _new_ledger(self) -> Ledger:
        return Ledger(rules_in_force(self._git))

    async def _replay(self) -> None:
        async with self._turn:
            self._ledger = self._new_ledger()
            await self._records.restart()
            await self._take(await self._records.new())
            for counted in (self._live, self._recorded, self._judged):
                counted.clear()

    async def _catch_up(self) -> None:
        try:
            async with self._turn:
                await self._take(await self._records.new())
        except MissedRecord as error:
            _log.warning("approvals.read_again", reason=str(error))
            await self._replay()

    async def _take(self, found: list[tuple[str, Recorded]]) -> None:
        if found:
            self._ledger.rules = rules_in_force(self._git)
        for stream, record in found:
            judgement = feed(self._ledger, stream, record)
            key = (record.subject, record.payload)
            self._judged[key] = judgement
            self._recorded[key] += 1
            await self._tell(stream, record, judgement)
            if judgement.case is not None and judgement.case.state == "approved":
                await self._wake_applier(judgement.case)
        for key in list(self._judged)[:-_REMEMBERED]:
            for memory in (self._judged, self._live, self._recorded):
                memory.pop(key, None)

    async def _tell(self, stream: str, record: Recorded, judgement: Judgement) -> None:
        if self._trail.has_told(stream, record):
            return
        case = judgement.case
        if stream == names.PROPOSALS and case is not None:
            problem = await self._examiner.problem_of(case, self._ledger.cases)
            judgement = replace(judgement, refusal=problem)
            if problem:
                await self._wake_applier(case)  # which examines it too, and closes it on record
        self._trail.tell(stream, record, judgement)

    async def _shown(self, case: Case) -> Case:
        """The case as a reviewer should see it: what could not be applied is not offered."""
        problem = await self._examiner.problem_of(case, self._ledger.cases)
        return replace(case, state="invalid", note=problem) if problem else case

    async def _wake_applier(self, case: Case) -> None:
        if case.id not in self._woken:
            self._woken.add(case.id)
            await self._connection.publish(str(subjects.Apply(case.id)), case.digest.encode())

    async def _sweep(self) -> None:
        """Catch what arrived without a live message, let time pass, and wake an applier that was away."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._woken.clear()
            try:
                await self._catch_up()
                for case in list(self._ledger.cases.values()):
                    self._let_expire(case)
                    if case.state == "approved":
                        await self._wake_applier(case)
            except AgentbusError as error:
                _log.warning("approvals.sweep_failed", reason=str(error))

    def _let_expire(self, case: Case) -> None:
        now = at_time(case, time.time_ns())
        if now.state != case.state:
            self._ledger.cases[case.id] = now
            self._trail.expired(now)

    # -- answering ---------------------------------------------------------------------------------------

    def _on_message(self, message: Msg) -> None:
        self._running.begin(self._handle(message))

    async def _handle(self, message: Msg) -> None:
        try:
            answer = await self._answer(message)
        except AgentbusError as error:
            _log.warning("approvals.not_answered", subject=message.subject, reason=str(error))
            answer = render.error("the approval service cannot read its record now", "again in a moment")
        except Exception:  # noqa: BLE001  the process's message boundary: one bad message must not end the service
            _log.exception("approvals.failed", subject=message.subject)
            answer = render.error("the approval service failed on this message; its log says why")
        if message.reply and answer:
            try:
                await self._connection.publish(message.reply, answer.encode())
            except A2AError as error:
                _log.warning("approvals.answer_lost", subject=message.subject, reason=error.reason)

    async def _answer(self, message: Msg) -> str:
        if message.subject.startswith("approvals.propose."):
            return await self._answer_proposer(message)
        if message.subject.startswith("approvals.outcome."):
            await self._catch_up()
            return ""
        asked = Asked.read(message)
        if asked.verb in VOTING_VERBS:
            return await self._answer_vote(asked, message)
        if asked.verb in READING_VERBS:
            await self._catch_up()
            return await self._answer_reader(asked)
        verbs = ", ".join((*READING_VERBS, *VOTING_VERBS))
        return render.error(f"approvals.{asked.verb} is not a verb", f"one of {verbs}")

    async def _answer_proposer(self, message: Msg) -> str:
        judgement = await self._judgement(message)
        digest = sha256_hex(message.data)
        problem = "it was recorded, but not yet examined; send the same again"
        if judgement:
            case = judgement.case
            problem = judgement.refusal if case is None else (await self._shown(case)).note
        receipt = Receipt(proposal=name_of(digest), digest=digest, problem=problem)
        if judgement and judgement.case and judgement.is_new and not problem:
            await self._notify(judgement.case)
        return msgspec.json.encode(receipt).decode()

    async def _notify(self, case: Case) -> None:
        line = f"{case.proposal.agent} asks to change its {case.proposal.kind}: nats req approvals.show {case.id}\n"
        await self._connection.publish(str(subjects.Notify(case.id)), line.encode())

    async def _answer_vote(self, asked: Asked, message: Msg) -> str:
        judgement = await self._judgement(message)
        if judgement is None:
            return render.error("your vote was not found on record yet", "the same command again; it counts once")
        if judgement.case is None:
            return asked.refusal(judgement.refusal, _HINT)
        case = judgement.case
        if case.state == "approved":  # perhaps by this vote: what cannot be applied must not be answered with OK
            problem = await self._examiner.problem_of(replace(case, state="open"), self._ledger.cases)
            if problem:
                return asked.refusal(f"this proposal cannot be applied: {problem}", _HINT)
        return as_json(case) if asked.wants_json else render.voted(case, asked.verb, is_new=judgement.is_new)

    async def _answer_reader(self, asked: Asked) -> str:
        now_ns = time.time_ns()
        if asked.verb == "list":
            wanted = {"open", "approved"} if asked.words[:1] != ["all"] else None
            cases = [await self._shown(c) for c in self._ledger.cases.values() if wanted is None or c.state in wanted]
            return as_json(*cases, many=True) if asked.wants_json else render.listing(cases, now_ns)
        if not asked.words:
            return asked.refusal(f"approvals.{asked.verb} needs the id of a proposal", _HINT)
        try:
            case = await self._shown(self._ledger.find(asked.words[0]))
        except IllegalStep as error:
            return asked.refusal(str(error), _HINT)
        if asked.verb == "show":
            self._trail.shown(case, asked.reviewer)
        if asked.wants_json:
            return as_json(case)
        return render.show(case, now_ns) if asked.verb == "show" else render.history(case)

    async def _judgement(self, message: Msg) -> Judgement | None:
        """What became of this live message on record; None when the record does not show it in time."""
        key = (message.subject, message.data)
        self._live[key] += 1
        awaited = self._live[key]
        deadline = time.monotonic() + _RECORD_WAIT_S
        while self._recorded[key] < awaited and time.monotonic() < deadline:
            await self._catch_up()
            if self._recorded[key] < awaited:
                await asyncio.sleep(_POLL_S)
        return self._judged.get(key)
