"""An operator breaks the glass: said on record, done by the applier, shown to reviewers."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agents.cli.proposals.commands import asked
from agents.cli.proposals.pages import state_in_words
from agents.cli.run import EX_TEMPFAIL
from agents.cli.when import seconds_of
from approvals.reviewing.desk import ProposalDesk
from schemas.approvals import BrokenGlass, GlassVerb, Receipt, Standing
from schemas.errors import InvalidDocument
from schemas.text import harmless

_DONE_WITHIN_S, _POLL_S = 60.0, 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants to be done, as typed."""

    verb: GlassVerb
    agent: str
    why: str
    lasts: str

    def glass(self) -> BrokenGlass:
        """As it goes on record.

        Raises:
            InvalidDocument: no reason, or no time.
        """
        if not self.why.strip():
            raise InvalidDocument("say why, for those who review it: --why TEXT")
        now_ns = time.time_ns()
        ends_ns = now_ns + int(seconds_of("--for", self.lasts) * 1_000_000_000)
        return BrokenGlass(
            agent=self.agent, reason=self.why, made_at_ns=now_ns, expires_at_ns=ends_ns, nonce=os.urandom(16).hex()
        )


def break_glass(home: Path, caller: str, wanted: Wanted, *, as_json: bool) -> None:
    """Do it, and print where it stands; exits with 0 in force, 1 not done, 75 not done yet."""
    glass = wanted.glass()

    async def done(desk: ProposalDesk) -> tuple[Receipt, Standing | None]:
        receipt = await desk.break_glass(wanted.verb, glass)
        return receipt, None if receipt.problem else await _settled(desk, receipt.proposal)

    receipt, standing = asked(home, caller, done)
    if standing is None:
        print(f"agentbus: it is not done: {harmless(receipt.problem)}", file=sys.stderr)
        raise SystemExit(1)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(standing), indent=2).decode())
    else:
        print(state_in_words(standing))
        if standing.state == "in_force":
            print("Reviewers decide whether it stays: nats req approvals.show " + standing.proposal)
    raise SystemExit({"in_force": 0, "broken": EX_TEMPFAIL}.get(standing.state, 1))


async def _settled(desk: ProposalDesk, proposal: str) -> Standing:
    """Where it stands when the applier has done it, or could not."""
    deadline = time.monotonic() + _DONE_WITHIN_S
    while True:
        standing = await desk.standing(proposal)
        if standing.state != "broken" or time.monotonic() > deadline:
            return standing
        await asyncio.sleep(_POLL_S)
