"""Did a restarted instance come up as the approved tree, does it answer, and does it write its trail?

Asked over the bus, as others would, and of the trail, which an agent cannot write for another. `ready_within_s` to
come up, then `steady_for_s` in which its process may not end, its canary must be answered, its requests may not fail
too often, and its own events must arrive.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from approvals.applying.canary import Canary
from approvals.applying.control import Control
from approvals.applying.evidence import Evidence, Tally
from schemas import a2a
from schemas.errors import A2AError, AgentbusError
from schemas.policy import Health

_POLL_S = 0.2
_CANARY_EVERY_S = 2.0
_SILENT_S = 10.0
"""How long an answer's own event may take to be on the trail."""
_ENOUGH = 5
"""Requests before their failures say something."""


class NotHealthy(AgentbusError):
    """What is wrong with the instance, in one sentence."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One instance of `agent` that should run `tree`."""

    agent: str
    slot: int
    tree: str
    canary: Canary
    control: Control
    evidence: Evidence

    async def healthy(self, health: Health) -> None:
        """Return when it came up and stayed well.

        Raises:
            NotHealthy: it did not.
        """
        tally = Tally(await self.evidence.end())
        instance = await self._come_up(health.ready_within_s)
        await self._write(instance, tally)
        if not health.steady_for_s:
            return
        await self._stay(instance, health, tally)
        await self._answer(instance, _SILENT_S)
        await self._write(instance, tally)

    async def _come_up(self, within_s: float) -> str:
        """The id of the instance that runs the tree and answers as such."""
        deadline, said = time.monotonic() + within_s, False
        while time.monotonic() < deadline:
            # Looked at anew each time: what is on the trail may still be of the run before this one.
            running = await self.evidence.running(self.agent, self.slot)
            if running is not None and running.tree == self.tree:
                said = True
                if await self._answering() == running.id:
                    return running.id
            await asyncio.sleep(_POLL_S)
        what = "did not answer as" if said else "did not say on the trail that it runs"
        raise NotHealthy(f"{self.agent} {what} tree {self.tree[:12]} in time")

    async def _answer(self, instance: str, within_s: float) -> None:
        """Ask until this instance answers: its siblings do too, whoever is free."""
        deadline = time.monotonic() + within_s
        while await self._answering() != instance:
            if time.monotonic() > deadline:
                raise NotHealthy(f"{self.agent} did not answer as tree {self.tree[:12]} in time")
            await asyncio.sleep(_POLL_S)

    async def _answering(self) -> str:
        """The id in the card of whichever instance answers now, empty when none does."""
        try:
            card = await self.canary.caller.get_card(self.agent, timeout_s=2)
        except A2AError:
            return ""
        release = next((e for e in card.capabilities.extensions if e.uri == a2a.RELEASE_URI), None)
        return str(release.params.get("instance", "")) if release else ""

    async def _stay(self, instance: str, health: Health, tally: Tally) -> None:
        pid = await self.control.pid(self.agent, self.slot)
        began = time.monotonic()
        ends, canary_at = began + health.steady_for_s, began
        while time.monotonic() < ends:
            if await self.control.pid(self.agent, self.slot) != pid or not pid:
                raise NotHealthy(f"{self.agent} ended by itself {time.monotonic() - began:.0f} s after its start")
            if time.monotonic() >= canary_at:
                await self.canary.ask(self.agent)
                canary_at = time.monotonic() + _CANARY_EVERY_S
            await self._look_at_requests(instance, health, tally)
            await asyncio.sleep(_POLL_S)

    async def _look_at_requests(self, instance: str, health: Health, tally: Tally) -> None:
        await self.evidence.count(self.agent, self.slot, instance, tally)
        if tally.answered + tally.failed >= _ENOUGH and tally.failures > health.max_failures:
            raise NotHealthy(f"{tally.failed} of {tally.answered + tally.failed} requests of {self.agent} failed")

    async def _write(self, instance: str, tally: Tally) -> None:
        """It has just answered, so the trail must get an event of it."""
        seen, deadline = tally.seen, time.monotonic() + _SILENT_S
        while tally.seen == seen:
            if time.monotonic() > deadline:
                raise NotHealthy(f"{self.agent} answers, but its events do not arrive on the audit trail")
            await asyncio.sleep(_POLL_S)
            await self.evidence.count(self.agent, self.slot, instance, tally)
