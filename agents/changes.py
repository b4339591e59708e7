"""Changes that an agent asks for while it works: sent once, waited for by the task, answered with what became of them.

What a task has asked for is kept with it, and written before it is sent. So a run after a crash finds it and
does not ask again; what was written and never arrived is asked for anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from approvals.change.edits import Change
from approvals.errors import CannotPropose, ProposalNotFound
from schemas.approvals import Receipt, Standing, name_of
from schemas.errors import DeadlineExceeded, Unavailable, UnknownOutcome
from schemas.ids import sha256_hex


class AuthRequired(Exception):
    """The work cannot go on before people have decided about `proposal`. Raised by `Context.propose_change`; let it pass."""

    def __init__(self, proposal: str) -> None:
        super().__init__(
            f"{proposal} waits for approval: approvals.show {proposal} for reviewers, "
            f"agentbus proposals show {proposal} for operators"
        )
        self.proposal = proposal


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A proposal that a task has sent, or was about to send; `problem`: why nobody was asked to review it."""

    proposal: str
    problem: str = ""


class Changes(Protocol):
    """The way from the agent to its reviewers."""

    async def build(self, changes: Sequence[Change], rationale: str, task: str) -> bytes:
        """The bytes of a proposal to change the agent's own folder; raises CannotPropose."""

    async def send(self, proposal: bytes) -> Receipt:
        """Hand it in; raises as `ProposalDesk.propose`."""

    async def standing(self, proposal: str) -> Standing:
        """What became of it; raises as `ProposalDesk.standing`."""

    async def withdraw(self, proposal: str, reason: str) -> Receipt:
        """Take it back; raises as `ProposalDesk.withdraw`."""


class Memory(Protocol):
    """What keeps what was asked for: the task behind the work."""

    @property
    def task(self) -> str:
        """Its id; empty where there is none, and nothing is kept."""

    @property
    def asked(self) -> tuple[Asked, ...]:
        """What its runs have asked for, in order."""

    async def keep_asked(self, asked: tuple[Asked, ...]) -> None:
        """Take the place of `asked`; returns when it is stored."""


class Asking:
    """One run's way of asking. `place` counts what it has asked for, so that a later run finds each in its order."""

    def __init__(self, changes: Changes, memory: Memory) -> None:
        self._changes = changes
        self._memory = memory
        self._place = 0

    @property
    def is_waiting(self) -> bool:
        """Whether an answer may be waited for: there is a task."""
        return bool(self._memory.task)

    async def at_once(self, changes: Sequence[Change], rationale: str) -> Receipt:
        """See `Context.propose`."""
        return await self._changes.send(await self._changes.build(changes, rationale, self._memory.task))

    async def decided(self, changes: Sequence[Change], rationale: str) -> Standing:
        """See `Context.propose_change`."""
        if not self.is_waiting:
            return await self._changes.standing(_accepted(await self.at_once(changes, rationale)))
        place = self._place
        self._place += 1
        known = self._memory.asked[place : place + 1]
        return (await self._outcome(known[0]) if known else None) or await self._ask(place, changes, rationale)

    async def earlier(self) -> list[Standing | CannotPropose]:
        """What became of what earlier runs of the task asked for, as far as it arrived; the next call asks anew.

        Raises:
            AuthRequired: the last of it is not decided yet.
        """
        found: list[Standing | CannotPropose] = []
        for asked in self._memory.asked:
            try:
                outcome: Standing | CannotPropose | None = await self._outcome(asked)
            except CannotPropose as refusal:
                outcome = refusal
            if outcome is None:
                break
            found.append(outcome)
        self._place = len(found)
        return found

    async def _ask(self, place: int, changes: Sequence[Change], rationale: str) -> Standing:
        proposal = await self._changes.build(changes, rationale, self._memory.task)
        asked = Asked(name_of(sha256_hex(proposal)))
        before = self._memory.asked[:place]
        await self._memory.keep_asked((*before, asked))
        try:
            receipt = await self._changes.send(proposal)
        except (DeadlineExceeded, UnknownOutcome):  # it may be on record: who watches the task finds out
            raise AuthRequired(asked.proposal) from None
        if not receipt.problem:
            raise AuthRequired(asked.proposal)
        outcome = await self._outcome(asked)  # on record after all, where it could be applied once
        if outcome is None:
            await self._memory.keep_asked((*before, Asked(asked.proposal, receipt.problem)))
            raise CannotPropose(receipt.problem)
        return outcome

    async def _outcome(self, asked: Asked) -> Standing | None:
        """How it ended; None when it never arrived.

        Raises:
            AuthRequired: it has not ended, or nobody can say. CannotPropose: nobody was asked to review it.
        """
        if asked.problem:
            raise CannotPropose(asked.problem)
        try:
            standing = await self._changes.standing(asked.proposal)
        except ProposalNotFound:
            return None
        except (Unavailable, DeadlineExceeded):
            raise AuthRequired(asked.proposal) from None
        if not standing.is_final:
            raise AuthRequired(asked.proposal)
        return standing


def _accepted(receipt: Receipt) -> str:
    if receipt.problem:
        raise CannotPropose(receipt.problem)
    return receipt.proposal
