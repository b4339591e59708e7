"""A proposer's side of the approval service: hand in, ask what became of it, take back. Not a reviewer's.

Who asks is the subject, which one account alone may publish: the service believes nothing else.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from approvals.errors import ProposalNotFound
from bus.connection import Connection, Headers
from schemas import subjects
from schemas.approvals import (
    BrokenGlass,
    Evaluation,
    GlassVerb,
    ReadingVerb,
    Receipt,
    Standing,
    name_of,
    require_proposal_id,
)
from schemas.errors import UNREADABLE, DeadlineExceeded, Unavailable, UnknownOutcome
from schemas.ids import sha256_hex

_TIMEOUT_S = 10.0


class ProposalDesk:
    """What `proposer` (an agent, or an operator) may do with proposals, on a connection to its own account.

    Every call raises `Unavailable` at once when the service is away, and `DeadlineExceeded` when an answer is late.
    Where something may be on record all the same it is `UnknownOutcome`; the same bytes again count once.
    """

    def __init__(self, connection: Connection, proposer: str) -> None:
        self._connection = connection
        self._proposer = proposer

    async def propose(self, proposal: bytes, *, headers: Headers | None = None) -> Receipt:
        """Hand in a proposal. The receipt's `problem` says why it is not reviewed, where it is not."""
        name = name_of(sha256_hex(proposal))
        with contextlib.suppress(ProposalNotFound):
            await self.standing(name)  # the server takes proposals also for a service that is away: nobody would know
        subject = str(subjects.Propose(self._proposer))
        return _read(await self._recorded(name, subject, proposal, headers), Receipt)

    async def withdraw(self, proposal: str, reason: str = "") -> Receipt:
        """Take an own proposal back while it is open. The receipt's `problem` says why not, where it stays.

        Raises:
            InvalidDocument: `proposal` is no id of one.
        """
        body = f"{require_proposal_id(proposal)} {reason}".strip()
        return _read(await self._recorded(proposal, str(subjects.Withdraw(self._proposer)), body.encode()), Receipt)

    async def break_glass(self, verb: GlassVerb, glass: BrokenGlass) -> Receipt:
        """Stop an agent, or take back its last change, at once and without a vote: for operators, who answer for it.

        The receipt's `problem` says why it is not done, where it is not.
        """
        body = msgspec.json.encode(glass)
        subject = str(subjects.BreakGlass(self._proposer, verb))
        return _read(await self._recorded(name_of(sha256_hex(body)), subject, body), Receipt)

    async def evaluated(self, evaluation: Evaluation) -> Receipt:
        """Put on record how an agent did: for operators. The receipt's `problem` says why not, where it is not."""
        body = msgspec.json.encode(evaluation)
        return _read(
            await self._recorded(name_of(sha256_hex(body)), str(subjects.Evaluate(self._proposer)), body), Receipt
        )

    async def standing(self, proposal: str) -> Standing:
        """What became of a proposal.

        Raises:
            InvalidDocument: `proposal` is no id of one. ProposalNotFound: there is none that this proposer may read.
        """
        return _read(await self._asked("show", require_proposal_id(proposal)), Standing)

    async def all(self, *, everything: bool = False) -> list[Standing]:
        """The proposals that this proposer may read, newest first, 200 at most: open and approved, or also past ones."""
        return _read(await self._asked("list", "all" if everything else ""), list[Standing])

    async def history(self, proposal: str) -> dict[str, Any]:
        """All there is to know of a proposal, as a reviewer gets it as JSON; raises as `standing`."""
        return _read(await self._asked("history", require_proposal_id(proposal)), dict[str, Any])

    async def _recorded(self, proposal: str, subject: str, body: bytes, headers: Headers | None = None) -> bytes:
        try:
            return await self._answer(subject, body, headers)
        except DeadlineExceeded as error:
            raise UnknownOutcome(f"{error}; it may be on record: look at {proposal} before you repeat it") from None

    async def _asked(self, verb: ReadingVerb, body: str) -> bytes:
        return await self._answer(str(subjects.Inquire(self._proposer, verb)), body.encode())

    async def _answer(self, subject: str, body: bytes, headers: Headers | None = None) -> bytes:
        try:
            answer = await self._connection.request(subject, body, timeout_s=_TIMEOUT_S, headers=headers)
        except Unavailable as error:
            if not self._connection.is_connected:
                raise
            raise Unavailable(
                f"the approval service does not answer {self._proposer}: it does not run, "
                f"or the fleet file does not let {self._proposer} propose ({error})"
            ) from None
        return answer.data


def _read[T](answer: bytes, wanted: type[T]) -> T:
    """The answer, or the refusal that it is.

    Raises:
        ProposalNotFound, Unavailable: as the service says.
    """
    if answer.startswith(b"ERR "):
        raise Unavailable(answer.decode("utf-8", "replace").removeprefix("ERR ").strip(), retry_after_s="1")
    try:
        found = msgspec.json.decode(answer)
        if isinstance(found, dict) and "error" in found:
            raise ProposalNotFound(str(found["error"]))
        return msgspec.convert(found, wanted)
    except UNREADABLE as error:
        raise Unavailable(f"the approval service's answer cannot be read: {error}") from None
