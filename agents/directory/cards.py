"""The cards of the agents that were heard, asked for by the ordinary operation, once for each of their instances.

A card is believed that its agent signed with the key that the fleet has for it now; with a new key it is asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import structlog

from agents.directory.records import CardState
from bus.background import Background
from bus.discovery.agent_keys import AgentKeys
from bus.discovery.cards import CardNotTrusted
from bus.requests.caller import Caller
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
    key: str = ""
    """The one that `card` is signed with."""
    is_refused: bool = False
    """Whether the agent's last card was not signed with its key."""
    problem: str = ""
    is_asked: bool = False


class Cards:
    """Asks with `calls`, and keeps the last card that each agent gave and signed, also while it is offline."""

    def __init__(self, calls: Caller, keys: AgentKeys) -> None:
        self._calls = calls
        self._keys = keys
        self._entries: dict[str, _Entry] = {}
        self._asking = Background()
        self._places = asyncio.Semaphore(_AT_ONCE)

    def card(self, agent: str) -> a2a.AgentCard | None:
        """The last one, where there is one that is signed with the key that the agent has now."""
        entry = self._entries.get(agent, _Entry())
        return entry.card if entry.card is not None and entry.key == self._key(agent) else None

    def state(self, agent: str) -> CardState:
        """What is known of its card."""
        if self.card(agent) is not None:
            return "signed"
        return "not signed" if self._entries.get(agent, _Entry()).is_refused else "missing"

    def problem(self, agent: str) -> str:
        """Why the last question for it was in vain."""
        return self._entries.get(agent, _Entry()).problem

    def heard(self, agent: str, beat: Heartbeat) -> None:
        """Ask an instance that is new, or that was asked in vain before, and every one when the agent's key is new."""
        entry = self._entries.setdefault(agent, _Entry())
        is_known = entry.instances.get(beat.slot) == beat.instance and entry.key == self._key(agent)
        if beat.state == "ready" and not is_known and not entry.is_asked:
            entry.is_asked = True
            self._asking.begin(self._ask(agent, beat, entry))

    async def close(self) -> None:
        """Ask no more."""
        await self._asking.drain(_DRAIN_S)

    async def _ask(self, agent: str, beat: Heartbeat, entry: _Entry) -> None:
        try:
            async with self._places:
                key = self._key(agent)  # before it is asked: with another one meanwhile it is asked again
                card = await self._calls.get_card(agent, key_of=self._keys.of)
            entry.card, entry.key = _small_enough(agent, card), key
        except AgentbusError as error:  # asked again at its next heartbeat
            if isinstance(error, CardNotTrusted):
                entry.card, entry.is_refused = None, True
                entry.instances.clear()  # whoever is right will be asked again, too
            entry.problem = str(error)[:300]
            _log.warning("directory.card_missing", agent=agent, reason=str(error))
        else:
            entry.instances[beat.slot], entry.is_refused, entry.problem = beat.instance, False, ""
        finally:
            entry.is_asked = False

    def _key(self, agent: str) -> str:
        """The agent's key now, or none."""
        with contextlib.suppress(CardNotTrusted):
            return self._keys.of(agent)
        return ""


def _small_enough(agent: str, card: a2a.AgentCard) -> a2a.AgentCard:
    if len(protojson.encode(card)) > _LARGEST_BYTES:
        raise InvalidAgentResponse(f"the card of {agent} is over {_LARGEST_BYTES} bytes")
    return card
