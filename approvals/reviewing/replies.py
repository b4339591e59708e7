"""Answers of the approval service: to proposers, to reviewers, to those who ask what became of a proposal."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from approvals.change.examiner import Examiner
from approvals.errors import IllegalStep
from approvals.reviewing import render
from approvals.reviewing.answers import Asked, as_json, refusal, standing
from approvals.reviewing.trail import Trail
from approvals.verdict.fold import Judgement, Ledger
from approvals.verdict.machine import Case, at_time
from bus.connection import Msg
from schemas import subjects
from schemas.approvals import READING_VERBS, VOTING_VERBS, Receipt, name_of
from schemas.ids import sha256_hex

_RECORD_WAIT_S = 3.0
_POLL_S = 0.01
_REMEMBERED = 5000
"""Messages whose judgement is kept, so that a live message finds its own."""
_HINT = "approvals.list ''"
_WITHDRAWN = "approvals.withdraw."
Key = tuple[str, bytes]


class Desk(Protocol):
    """What answers are made from."""

    ledger: Ledger

    async def catch_up(self) -> None:
        """Judge everything that is on record by now."""


@dataclass(slots=True)
class Judged:
    """What became of each message, so that the live copy of it is answered with the judgement of the recorded one."""

    _judgements: dict[Key, Judgement] = field(default_factory=dict)
    _live: Counter[Key] = field(default_factory=Counter)
    _recorded: Counter[Key] = field(default_factory=Counter)

    def record(self, key: Key, judgement: Judgement) -> None:
        """A recorded message was judged."""
        self._judgements[key] = judgement
        self._recorded[key] += 1
        if len(self._judgements) > _REMEMBERED:
            oldest = next(iter(self._judgements))
            for memory in (self._judgements, self._live, self._recorded):
                memory.pop(oldest, None)

    def forget(self) -> None:
        """Everything is read again."""
        for memory in (self._judgements, self._live, self._recorded):
            memory.clear()

    async def of(self, message: Msg, catch_up: Callable[[], Awaitable[None]]) -> Judgement | None:
        """What became of this live message on record; None when the record does not show it in time."""
        key = (message.subject, message.data)
        self._live[key] += 1
        awaited = self._live[key]
        deadline = time.monotonic() + _RECORD_WAIT_S
        while self._recorded[key] < awaited and time.monotonic() < deadline:
            await catch_up()
            if self._recorded[key] < awaited:
                await asyncio.sleep(_POLL_S)
        return self._judgements.get(key)


class Replies:
    """Answers one message at a time; what it shows is what the record says by then."""

    def __init__(self, desk: Desk, judged: Judged, examiner: Examiner, trail: Trail) -> None:
        self._desk = desk
        self._judged = judged
        self._examiner = examiner
        self._trail = trail

    async def to(self, message: Msg) -> str:
        """The answer; empty where none is due."""
        family = message.subject.split(".")[1]
        if family in {"propose", "withdraw", "glass", "evaluate"}:
            return await self._to_proposer(message)
        if family == "ask":
            return await self._to_inquirer(message)
        if family == "outcome":
            await self._desk.catch_up()
            return ""
        asked = Asked.read(message)
        if asked.verb in VOTING_VERBS:
            return await self._to_voter(asked, message)
        if asked.verb in READING_VERBS:
            await self._desk.catch_up()
            return await self._to_reader(asked)
        verbs = ", ".join((*READING_VERBS, *VOTING_VERBS))
        return render.error(f"approvals.{asked.verb} is not a verb", f"one of {verbs}")

    async def shown(self, case: Case) -> Case:
        """The case as people should see it: what could not be applied is not offered."""
        case = at_time(case, time.time_ns())
        found = await self._examiner.look(case, self._desk.ledger)
        if found.problem:
            return replace(case, state="invalid", note=found.problem)
        return replace(case, flags=found.flags)

    async def _to_proposer(self, message: Msg) -> str:
        judgement = await self._judged.of(message, self._desk.catch_up)
        digest = sha256_hex(message.data)
        if judgement is None:
            problem = "it was recorded, but not yet examined; send the same again"
        elif judgement.evaluated is not None:
            problem = ""
        elif judgement.case is None:
            problem = judgement.refusal
        else:
            shown = await self.shown(judgement.case)
            is_taken_back = message.subject.startswith(_WITHDRAWN) and shown.state == "withdrawn"
            problem = "" if is_taken_back else _problem_of(shown)
            digest = shown.digest
        receipt = Receipt(proposal=name_of(digest), digest=digest, problem=problem)
        return msgspec.json.encode(receipt).decode()

    async def _to_inquirer(self, message: Msg) -> str:
        subject = subjects.Inquire.parse(message.subject)
        await self._desk.catch_up()
        words = message.data.decode("utf-8", "replace").split()
        if subject.verb == "list":
            everything = words[:1] == ["all"]
            cases = self._desk.ledger.cases if everything else self._desk.ledger.unsettled
            mine = [case for case in cases.values() if self._may_read(subject.proposer, case)]
            mine.sort(key=lambda case: -case.at_ns)
            return msgspec.json.encode([standing(await self.shown(case)) for case in mine[:_LISTED]]).decode()
        if not words:
            return refusal(f"approvals.ask.{subject.proposer}.{subject.verb} needs the id of a proposal", "list")
        case = self._desk.ledger.cases.get(words[0])
        if case is None or not self._may_read(subject.proposer, case):
            return refusal(f"there is no proposal {words[0][:20]} that {subject.proposer} may read", "list")
        case = await self.shown(case)
        return as_json(case) if subject.verb == "history" else msgspec.json.encode(standing(case)).decode()

    def _may_read(self, who: str, case: Case) -> bool:
        return who in self._desk.ledger.rules.fleet.operators or who in {case.proposer, case.proposal.agent}

    async def _to_voter(self, asked: Asked, message: Msg) -> str:
        judgement = await self._judged.of(message, self._desk.catch_up)
        if judgement is None:
            return render.error("your vote was not found on record yet", "the same command again; it counts once")
        if judgement.case is None:
            return asked.refusal(judgement.refusal, _HINT)
        case = judgement.case
        if case.state in {
            "approved",
            "allowed",
        }:  # perhaps by this vote: what cannot be applied must not be answered with OK
            problem = await self._examiner.problem_of(replace(case, state="open"), self._desk.ledger)
            if problem:
                return asked.refusal(f"this proposal cannot be applied: {problem}", _HINT)
        return as_json(case) if asked.wants_json else render.voted(case, asked.verb, is_new=judgement.is_new)

    async def _to_reader(self, asked: Asked) -> str:
        if asked.verb == "list":
            return await self._listing(asked)
        if not asked.words:
            return asked.refusal(f"approvals.{asked.verb} needs the id of a proposal", _HINT)
        try:
            case = await self.shown(self._desk.ledger.find(asked.words[0]))
        except IllegalStep as error:
            return asked.refusal(str(error), _HINT)
        if asked.verb == "show":
            self._trail.shown(case, asked.reviewer)
        if asked.wants_json:
            return as_json(case)
        return render.show(case, time.time_ns()) if asked.verb == "show" else render.history(case)

    async def _listing(self, asked: Asked) -> str:
        everything = asked.words[:1] == ["all"]
        known = self._desk.ledger.cases if everything else self._desk.ledger.unsettled
        newest = sorted(known.values(), key=lambda case: -case.sequence)
        cases = [await self.shown(case) for case in newest[:_LISTED]]
        if asked.wants_json:
            return as_json(*cases, many=True)
        return render.listing(cases, time.time_ns(), left_out=len(newest) - len(cases))


def _problem_of(case: Case) -> str:
    """Why nobody will be asked about it any more; empty where somebody is, or was and agreed."""
    if case.state == "invalid":
        return case.note
    if case.state in {"rejected", "withdrawn", "expired", "refused", "rolled_back"}:
        return f"it is {case.state.replace('_', ' ')}" + (f": {case.note}" if case.note else "")
    return ""


_LISTED = 200
"""Proposals in one answer, the newest; what is open is never that many."""
