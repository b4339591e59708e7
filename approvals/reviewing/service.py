"""The approval service: reads what the server recorded, shows it, answers, and wakes the applier.

It cannot apply anything, and it cannot vote: reviewers' subjects are theirs alone, and its verdict is
only a wake-up, which the applier derives again.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from approvals.change.examiner import Examiner
from approvals.git import Git
from approvals.repository import Rulebook, rules_in_force
from approvals.reviewing import render
from approvals.reviewing.replies import Judged, Replies
from approvals.reviewing.teller import Teller
from approvals.reviewing.trail import Trail
from approvals.verdict.fold import Ledger, Recorded
from approvals.verdict.records import MissedRecord, Records, begin, feed
from bus.background import Background, OnFailure, only_logged, vital
from bus.connection import Connection, Msg, Subscription
from schemas import names, subjects
from schemas.errors import A2AError, AgentbusError

_log = structlog.get_logger("approvals")
_SWEEP_S = 2.0
_HEARD = (
    subjects.Propose, subjects.Withdraw, subjects.BreakGlass, subjects.Evaluate, subjects.Inquire, subjects.Review, subjects.Outcome,
)  # fmt: skip


class ApprovalService:
    """One instance per fleet."""

    def __init__(self, connection: Connection, git: Git, trail: Trail) -> None:
        self._connection = connection
        self._git = git
        self._rulebook = Rulebook(git)
        self._records = Records(connection, names.APPROVALS)
        self.ledger = Ledger(rules_in_force(git), self._rulebook)
        self._trail = trail
        examiner = Examiner(git)
        self._judged = Judged()
        self._replies = Replies(self, self._judged, examiner, trail)
        self._teller = Teller(connection, trail, examiner)
        self._turn = asyncio.Lock()
        self._read_at_s = time.monotonic()
        self._subscriptions: list[Subscription] = []
        self._running = Background()
        self._loops: list[asyncio.Task[None]] = []

    async def start(self, on_failure: OnFailure = only_logged) -> None:
        """Fold what was recorded so far, then answer."""
        await self._replay()
        self._trail.judged_by(self.ledger.rules)
        for family in _HEARD:
            self._subscriptions.append(await self._connection.subscribe(family.pattern(), self._on_message))
        await self._connection.flush()
        self._loops = [
            vital(self._teller.run(), "telling the trail", on_failure),
            vital(self._sweep(), "reading the record", on_failure),
        ]

    async def drain(self, timeout_s: float) -> None:
        """Take no more messages, answer those that arrived, and tell the trail what was judged."""
        for subscription in self._subscriptions:
            await self._connection.drain(subscription)
        await self._running.drain(timeout_s)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        try:
            await self.settle()
        except AgentbusError as error:
            _log.warning("approvals.not_told", reason=str(error))  # the next run tells it

    async def settle(self) -> None:
        """Return when the trail has been told of everything that is judged.

        Raises:
            AuditUnavailable: it does not take or confirm it now.
        """
        await self._teller.tell_all()

    async def catch_up(self) -> None:
        """Judge everything that is on record by now."""
        try:
            async with self._turn:
                self._take(await self._records.new())
                self._read_at_s = time.monotonic()
        except MissedRecord as error:
            _log.warning("approvals.read_again", reason=str(error))
            await self._replay()

    @property
    def unread_s(self) -> float:
        """How long ago it last knew everything that is on record; what came since is not judged."""
        return time.monotonic() - self._read_at_s

    async def _replay(self) -> None:
        async with self._turn:
            await self._records.restart()
            found = await self._records.new()
            self.ledger = begin(rules_in_force(self._git), self._rulebook, found)
            self._take(found)
            self._judged.forget()  # a message that lives now has a record of its own, which comes after these

    def _take(self, found: list[tuple[str, Recorded]]) -> None:
        for stream, record in found:
            judgement = feed(self.ledger, stream, record)
            self._judged.record((record.subject, record.payload), judgement)
            self._teller.add(stream, record, judgement, self.ledger)

    async def _sweep(self) -> None:
        """Catch what arrived without a live message, and wake an applier that was away."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self.catch_up()
                for case in list(self.ledger.unsettled.values()):
                    if case.state in {"approved", "broken", "lifted"}:
                        self._teller.wake(case)
            except AgentbusError as error:
                _log.warning("approvals.sweep_failed", reason=str(error))

    def _on_message(self, message: Msg) -> None:
        self._running.begin(self._handle(message))

    async def _handle(self, message: Msg) -> None:
        try:
            answer = await self._replies.to(message)
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
