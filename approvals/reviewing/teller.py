"""What follows from a record once it is judged: the trail is told, then the applier is woken and people get news.

In this order, and in the order of the records: nothing rests on a verdict that the trail has not confirmed.
Answers to people do not wait for it, since the record itself is the server's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import NamedTuple

import structlog

from approvals.change.examiner import Examiner
from approvals.reviewing.trail import Trail
from approvals.verdict.fold import Judgement, Ledger, Recorded, is_of_rules
from approvals.verdict.machine import Case
from bus.connection import Connection
from schemas import names, subjects
from schemas.errors import AgentbusError

_log = structlog.get_logger("approvals")
_RETRY_S = 1.0


class _Judged(NamedTuple):
    stream: str
    record: Recorded
    judgement: Judgement
    ledger: Ledger


class Teller:
    """One queue of judged records. Its owner runs `run` for as long as it lives."""

    def __init__(self, connection: Connection, trail: Trail, examiner: Examiner) -> None:
        self._connection = connection
        self._trail = trail
        self._examiner = examiner
        self._queue: deque[_Judged] = deque()
        self._queued: dict[str, int] = {}
        self._something = asyncio.Event()
        self._turn = asyncio.Lock()
        self._news: list[tuple[Case, str]] = []
        self._to_wake: dict[str, Case] = {}

    def add(self, stream: str, record: Recorded, judgement: Judgement, ledger: Ledger) -> None:
        """Queue what became of a record, unless it is told or queued already."""
        if not self._trail.has_told(stream, record) and record.sequence > self._queued.get(stream, 0):
            self._queued[stream] = record.sequence
            self._queue.append(_Judged(stream, record, judgement, ledger))
            self._something.set()

    def wake(self, case: Case) -> None:
        """Wake the applier for this case, when the trail has confirmed what is queued."""
        self._to_wake[case.id] = case
        self._something.set()

    async def run(self) -> None:
        """Tell, confirm, wake, notify; what fails is tried again."""
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                await self.tell_all()
            except (AgentbusError, OSError) as error:
                _log.warning("approvals.not_told", waiting=len(self._queue), reason=str(error))
                await asyncio.sleep(_RETRY_S)
                self._something.set()

    async def tell_all(self) -> None:
        """Everything that is queued now.

        Raises:
            AuditUnavailable: the trail does not take or confirm it; it stays queued as far as it was not told.
        """
        async with self._turn:
            while self._queue:
                await self._tell(self._queue[0])
                self._queue.popleft()
            await self._trail.keep()
            while self._to_wake:
                case = self._to_wake.pop(next(iter(self._to_wake)))
                await self._connection.publish(str(subjects.Apply(case.id)), case.digest.encode())
            while self._news:
                case, line = self._news.pop(0)
                await self._connection.publish(str(subjects.Notify(case.id)), f"{line}\n".encode())

    async def _tell(self, judged: _Judged) -> None:
        stream, record, judgement, ledger = judged
        case = judgement.case
        if (
            stream == names.PROPOSALS
            and case is not None
            and judgement.is_new
            and not judgement.evaluated
            and _is_open(case, ledger)
        ):
            problem = await self._examiner.problem_of(case, ledger)
            judgement = replace(judgement, refusal=problem)
        if stream == names.OUTCOMES and is_of_rules(record):
            self._trail.judged_by(ledger.rules)
        self._trail.tell(stream, record, judgement)
        if case is not None and judgement.is_new:
            self._follow(stream, case, judgement.refusal)

    def _follow(self, stream: str, case: Case, refusal: str) -> None:
        if refusal or case.state in {"open", "approved", "broken", "lifted"}:
            self._to_wake[case.id] = case  # the applier checks, closes or applies it
        if not refusal and (line := _news_of(stream, case)):
            self._news.append((case, line))


def _is_open(case: Case, ledger: Ledger) -> bool:
    """Whether somebody still has to decide: what was decided meanwhile is not examined any more."""
    return case.state == "open" and ledger.cases[case.id].state == "open"


def _what(case: Case) -> str:
    """In the words of the fleet's files, and of nobody who proposes."""
    kind, about = case.proposal.kind, case.proposal.agent or "the fleet"
    if case.proposal.is_of_newcomer:
        return f"have a new agent {about}"
    return "run a tool once" if kind == "call" else f"change the {kind} of {about}"


def _news_of(stream: str, case: Case) -> str:
    """One line for people, without anything that a proposer wrote."""
    about, read = case.proposal.agent or "the fleet", f"nats req approvals.show {case.id}"
    if stream == names.PROPOSALS:
        asks = {
            "open": f"{case.proposer} asks to {_what(case)}",
            "broken": f"GLASS BROKEN: {case.proposer} did {case.proposal.kind} to {about}; to be reviewed",
        }
        said = asks.get(case.state, f"{case.id} is {case.state}")
        return f"{said}: {read}"
    if stream == names.OUTCOMES and case.state in {"open", "approved"}:
        return ""
    return f"{case.id}, {case.proposal.kind} of {about}, is {case.state.replace('_', ' ')}: {read}"
