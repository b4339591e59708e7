"""The cards of the agents that were heard, asked for by the ordinary operation, once for each of their instances."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from bus.background import Background
from bus.caller import Caller
from schemas import a2a, protojson
from schemas.errors import AgentbusError, InvalidAgentResponse
from schemas.heartbeat import Heartbeat

_log = structlog.get_logger("directory")
_AT_ONCE = 8
_LARGEST_BYTES = 256 * 1024
_DRAIN_S = 1.0


@dataclass(slots=True)
class _Entry:
    instances: dict[str, str] = field(default_factory=dict)
    """By slot: the instances since whose start the card was asked for."""
    card: a2a.AgentCard | None = None
    problem: str = ""
    is_asked: bool = False


class Cards:
    """Asks with `calls`, and keeps the last card that each agent gave, also while it is offline."""

    def __init__(self, calls: Caller) -> None:
        self._calls = calls
        self._entries: dict[str, _Entry] = {}
        self._asking = Background()
        self._places = asyncio.Semaphore(_AT_ONCE)

    def card(self, agent: str) -> a2a.AgentCard | None:
        """The last one, where there is one."""
        return self._entries.get(agent, _Entry()).card

    def problem(self, agent: str) -> str:
        """Why the last question for it was in vain."""
        return self._entries.get(agent, _Entry()).problem

    def heard(self, agent: str, beat: Heartbeat) -> None:
        """Ask an instance that is new, or that was asked in vain before."""
        entry = self._entries.setdefault(agent, _Entry())
        if beat.state == "ready" and entry.instances.get(beat.slot) != beat.instance and not entry.is_asked:
            entry.is_asked = True
            self._asking.begin(self._ask(agent, beat, entry))

    async def close(self) -> None:
        """Ask no more."""
        await self._asking.drain(_DRAIN_S)

    async def _ask(self, agent: str, beat: Heartbeat, entry: _Entry) -> None:
        try:
            async with self._places:
                entry.card = _accepted(agent, await self._calls.get_card(agent))
        except AgentbusError as error:  # asked again at its next heartbeat
            entry.problem = str(error)[:300]
            _log.warning("directory.card_missing", agent=agent, reason=str(error))
        else:
            entry.instances[beat.slot], entry.problem = beat.instance, ""
        finally:
            entry.is_asked = False


def _accepted(agent: str, card: a2a.AgentCard) -> a2a.AgentCard:
    """The place to verify a card: here `bus.cards.verify_card` belongs as soon as an agent knows the fleet's keys."""
    if card.name != agent:
        raise InvalidAgentResponse(f"the card of {agent} has another name on it")
    if len(protojson.encode(card)) > _LARGEST_BYTES:
        raise InvalidAgentResponse(f"the card of {agent} is over {_LARGEST_BYTES} bytes")
    return card
