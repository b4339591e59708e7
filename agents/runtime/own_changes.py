"""How an agent's process asks for changes of itself: on its own account, told to the trail before it is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from agents.runtime.loading.agent_folder import own_files
from agents.runtime.loading.load import Loaded
from approvals.change.edits import Change
from approvals.change.propose import Origin, build_call_proposal, build_proposal
from approvals.git import tree_of_folder
from approvals.reviewing.desk import ProposalDesk
from bus import trace
from bus.audit.emit import Audit
from bus.connection import Connection
from schemas.approvals import Proposal, Receipt, Standing, ToolCall, name_of
from schemas.ids import sha256_hex


class OwnChanges:
    """The `Changes` of one agent; a repeat of the same bytes is the same proposal."""

    def __init__(self, agent: Loaded, own: Connection, audit: Audit) -> None:
        self._agent = agent
        self._audit = audit
        self._desk = ProposalDesk(own, agent.id)
        self._known_tree: str | None = None

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

    async def build_call(self, call: ToolCall, rationale: str, task: str) -> bytes:
        """See `Changes`."""
        here = trace.current()
        origin = Origin(task, here.correlation if here else "")
        tree = await self._tree()
        return build_call_proposal(
            self._agent.id, tree, call, rationale=rationale, now_ns=time.time_ns(), origin=origin
        )

    async def call_of(self, proposal: str, digest: str, task: str) -> ToolCall | None:
        """See `Changes`."""
        found = await self._desk.history(proposal)
        try:
            proposed = msgspec.convert(found.get("proposal"), Proposal)
        except msgspec.ValidationError:
            return None
        # what the service says it is counts for nothing: the bytes have the digest that the task kept, or they are not it
        is_ours = sha256_hex(msgspec.json.encode(proposed)) == digest and isinstance(proposed.call, ToolCall)
        is_here = (proposed.agent, proposed.task, proposed.base) == (self._agent.id, task, await self._tree())
        return proposed.call if is_ours and is_here and isinstance(proposed.call, ToolCall) else None

    async def _tree(self) -> str:
        """What the agent is: a release folder never changes, so it is computed once."""
        if self._known_tree is None:
            self._known_tree = await asyncio.to_thread(tree_of_folder, own_files(self._agent.folder))
        return self._known_tree

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
