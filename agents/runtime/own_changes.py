"""How an agent's process asks for changes of itself: on its own account, told to the trail before it is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from agents.runtime.load import Loaded
from approvals.change.edits import Change
from approvals.change.propose import Origin, build_proposal
from approvals.reviewing.desk import ProposalDesk
from bus import trace
from bus.audit.emit import Audit
from bus.connection import Connection
from schemas.approvals import Receipt, Standing, name_of
from schemas.ids import sha256_hex


class OwnChanges:
    """The `Changes` of one agent; a repeat of the same bytes is the same proposal."""

    def __init__(self, agent: Loaded, own: Connection, audit: Audit) -> None:
        self._agent = agent
        self._audit = audit
        self._desk = ProposalDesk(own, agent.id)

    async def build(self, changes: Sequence[Change], rationale: str, task: str) -> bytes:
        """See `Changes`."""
        here = trace.current()
        origin = Origin(task, here.correlation if here else "")
        return await asyncio.to_thread(self._build, changes, rationale, origin)

    def _build(self, changes: Sequence[Change], rationale: str, origin: Origin) -> bytes:
        agent = self._agent
        return build_proposal(
            agent.id, agent.folder, changes, rationale=rationale, now_ns=time.time_ns(), origin=origin
        )

    async def send(self, proposal: bytes) -> Receipt:
        """See `Changes`."""
        resource = f"{self._agent.id}/{name_of(sha256_hex(proposal))}"
        self._audit.emit("proposal.sent", action="propose", resource=resource, payload=proposal)
        await self._audit.confirm()
        here = trace.current()
        return await self._desk.propose(proposal, headers=here.headers() if here else None)

    async def standing(self, proposal: str) -> Standing:
        """See `Changes`."""
        return await self._desk.standing(proposal)

    async def withdraw(self, proposal: str, reason: str) -> Receipt:
        """See `Changes`."""
        return await self._desk.withdraw(proposal, reason)
