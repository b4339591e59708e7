"""Changes, and calls of tools, that an agent asks for while it works: sent once, waited for by the task, answered with
what became of them.

What a task has asked for is kept with it, and written before it is sent. So a run after a crash finds it and
does not ask again; what was written and never arrived is asked for anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from approvals.change.edits import Change
from approvals.errors import CannotPropose, ProposalNotFound
from schemas.approvals import Receipt, Standing, ToolCall, name_of
from schemas.errors import DeadlineExceeded, Unavailable, UnknownOutcome
from schemas.ids import sha256_hex

Stage = Literal["", "begun", "ended"]


class AuthRequired(Exception):
    """The work cannot go on before people have decided about `proposal`. Raised by `Context.propose_change`; let it pass."""

    def __init__(self, proposal: str) -> None:
        super().__init__(
            f"{proposal} waits for approval: approvals.show {proposal} for reviewers, "
            f"agentbus proposals show {proposal} for operators"
        )
        self.proposal = proposal


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A proposal that a task has sent, or was about to send; `problem`: why nobody was asked to review it.

    `digest` is that of the whole proposal, for one of a tool's call; of the call nothing else is kept. `stage` says
    whether it has `begun` to run, and `ended`: it never begins twice.
    """

    proposal: str
    problem: str = ""
    digest: str = ""
    stage: Stage = ""


class Outcome(NamedTuple):
    """What became of a proposal; `ended` is None for a call that has begun already: what people said is used up."""

    asked: Asked
    ended: Standing | CannotPropose | None


class Changes(Protocol):
    """The way from the agent to its reviewers."""

    async def build(self, changes: Sequence[Change], rationale: str, task: str) -> bytes:
        """The bytes of a proposal to change the agent's own folder; raises CannotPropose."""

    async def send(self, proposal: bytes) -> Receipt:
        """Hand it in; raises as `ProposalDesk.propose`."""

    async def build_call(self, call: ToolCall, rationale: str, task: str) -> bytes:
        """The bytes of a proposal to make one call of a tool; raises CannotPropose."""

    async def call_of(self, proposal: str, digest: str, task: str) -> ToolCall | None:
        """The call that was proposed, from the record; None where that is not exactly what the agent, as it is now,
        proposed for this task. Raises as `ProposalDesk.history`."""

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


class _Grant(NamedTuple):
    place: int
    until_ns: int


class Asking:
    """One run's way of asking. `place` counts what it has asked for, so that a later run finds each in its order."""

    def __init__(self, changes: Changes, memory: Memory) -> None:
        self._changes = changes
        self._memory = memory
        self._place = 0

        self._granted: dict[ToolCall, _Grant] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether an answer may be waited for: there is a task."""
        return bool(self._memory.task)

    @property
    def place(self) -> int:
        """How many questions to people this run has behind it: those of earlier runs, and those that it asked."""
        return self._place

    # -- changes of the agent -----------------------------------------------------------------------------

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
        outcome = await self._outcome(known[0]) if known else None
        if outcome is None:
            proposal = await self._changes.build(changes, rationale, self._memory.task)
            outcome = await self._ask(place, proposal, Asked(name_of(sha256_hex(proposal))))
        return outcome

    # -- calls of tools -----------------------------------------------------------------------------------

    async def ask_call(self, call: ToolCall, rationale: str) -> None:
        """Ask people to let a tool run once, with exactly these arguments.

        Raises:
            AuthRequired: they are asked; the task waits. CannotPropose: they are not.
        """
        place = self._place
        self._place += 1
        proposal = await self._changes.build_call(call, rationale, self._memory.task)
        digest = sha256_hex(proposal)
        standing = await self._ask(place, proposal, Asked(name_of(digest), digest=digest))
        raise CannotPropose(f"{standing.proposal} is {standing.state}")

    async def call_of(self, asked: Asked) -> ToolCall | None:
        """The call that was proposed; None where it is not exactly what this agent, as it is now, proposed.

        Raises:
            AuthRequired: nobody can say now.
        """
        try:
            return await self._changes.call_of(asked.proposal, asked.digest, self._memory.task)
        except ProposalNotFound:
            return None
        except (Unavailable, DeadlineExceeded):
            raise AuthRequired(asked.proposal) from None

    def grant(self, call: ToolCall, place: int, until_ns: int) -> None:
        """People have allowed this call, the one asked for at `place`."""
        self._granted[call] = _Grant(place, until_ns)

    def is_granted(self, call: ToolCall) -> bool:
        """Whether people have allowed exactly this call, and it has not begun."""
        return call in self._granted

    async def begin(self, call: ToolCall, now_ns: int) -> int:
        """Use up what people have allowed: from here on the call has begun, whatever happens. Returns its place.

        Raises:
            CannotPropose: they have not, or not any more. StaleTask, Unavailable, UnknownOutcome: it may not begin.
        """
        grant = self._granted.pop(call, None)
        if grant is None or self._memory.asked[grant.place].stage:
            raise CannotPropose("nobody has allowed exactly this call, or it has begun already")
        if now_ns > grant.until_ns:
            raise CannotPropose("it was allowed, and not begun in time")
        await self._mark(grant.place, "begun")
        return grant.place

    async def end(self, place: int) -> None:
        """The call that had begun has ended, well or not."""
        await self._mark(place, "ended")

    async def _mark(self, place: int, stage: Stage) -> None:
        asked = list(self._memory.asked)
        asked[place] = msgspec.structs.replace(asked[place], stage=stage)
        await self._memory.keep_asked(tuple(asked))

    # -- both ---------------------------------------------------------------------------------------------

    async def earlier(self) -> list[Outcome]:
        """What became of what earlier runs of the task asked for, as far as it arrived; the next call asks anew.

        Raises:
            AuthRequired: the last of it is not decided yet.
        """
        found: list[Outcome] = []
        for asked in self._memory.asked:
            if asked.stage:
                found.append(Outcome(asked, None))
                continue
            try:
                outcome: Standing | CannotPropose | None = await self._outcome(asked)
            except CannotPropose as refusal:
                outcome = refusal
            if outcome is None:
                break
            found.append(Outcome(asked, outcome))
        self._place = len(found)
        return found

    async def _ask(self, place: int, proposal: bytes, asked: Asked) -> Standing:
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
            await self._memory.keep_asked((*before, msgspec.structs.replace(asked, problem=receipt.problem)))
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
