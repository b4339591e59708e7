"""The directory's skills. An agent's handler is two lines:

    from agents.directory.skills import directory

    skills = directory()

Each instance hears every heartbeat and asks for every card itself, so all of them know all, and none has
anything to keep: a new one calls the roll.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable

import msgspec

from agents.directory.cards import Cards
from agents.directory.records import AgentRecord, Agents, FindInput, ListInput, ShowInput, Shown, SkillRecord
from agents.directory.roll import Roll
from agents.lifespan import Here, Lifespan, lifespan
from agents.skill import Context, Skill, skill
from schemas import a2a, protojson
from schemas.errors import FieldViolation, InvalidArgument
from schemas.heartbeat import Heartbeat
from schemas.ids import rfc3339

_TAGS = ("agents", "discovery")


class Known:
    """What one instance of the directory knows."""

    def __init__(self) -> None:
        self.roll = Roll()
        self._cards: Cards | None = None

    async def live(self, here: Here) -> AsyncIterator[None]:
        """Hear and ask for as long as the agent serves."""
        cards = self._cards = Cards(here.calls, here.keys)

        def on_heard(agent: str, beat: Heartbeat) -> None:
            self.roll.heard(agent, beat)
            cards.heard(agent, beat)

        subscription = await here.heartbeats.listen(on_heard)
        await here.heartbeats.call_roll()
        yield
        await here.heartbeats.stop(subscription)
        await cards.close()

    def agents(self) -> tuple[AgentRecord, ...]:
        """Everybody, with what their cards say."""
        return tuple(map(self._with_card, self.roll.records()))

    def card(self, agent: str) -> a2a.AgentCard | None:
        """The agent's card, where it is known."""
        return self._cards.card(agent) if self._cards else None

    def _with_card(self, record: AgentRecord) -> AgentRecord:
        if self._cards is None:
            return record
        card, problem = self._cards.card(record.agent), self._cards.problem(record.agent)
        record = msgspec.structs.replace(record, card_state=self._cards.state(record.agent), card_problem=problem)
        if card is None:
            return record
        skills = tuple(SkillRecord(id=s.id, name=s.name, description=s.description, tags=s.tags) for s in card.skills)
        return msgspec.structs.replace(record, description=card.description, skills=skills)


def directory() -> list[Skill | Lifespan]:
    """The skills list, find and show over what their lifespan hears."""
    known = Known()

    @skill(id="list", description="Lists every agent that was heard, and whether it is online.", tags=_TAGS)
    async def list_agents(request: ListInput, ctx: Context) -> Agents:  # noqa: ARG001  every skill gets a context
        return _answer(record for record in known.agents() if _is_wanted(record, online=request.online))

    @skill(description="Finds agents by a skill's id, a tag, or words.", tags=_TAGS)
    async def find(request: FindInput, ctx: Context) -> Agents:  # noqa: ARG001
        return _answer(record for record in known.agents() if matches(record, request))

    @skill(description="Shows one agent and its card, where the agent signed it.", tags=_TAGS)
    async def show(request: ShowInput, ctx: Context) -> Shown:  # noqa: ARG001
        for record in known.agents():
            if record.agent == request.agent:
                card = known.card(record.agent)
                return Shown(record, msgspec.json.decode(protojson.encode(card)) if card else None)
        violation = FieldViolation("message.parts[0].data.agent", "not heard of; the skill list names the others")
        raise InvalidArgument(f"nothing was heard of an agent {request.agent!r}", violations=(violation,))

    return [list_agents, find, show, lifespan(known.live)]


def matches(record: AgentRecord, wanted: FindInput) -> bool:
    """Whether the agent has all that is wanted."""
    tags = {tag.casefold() for found in record.skills for tag in found.tags}
    text = _text(record)
    return (
        _is_wanted(record, online=wanted.online)
        and (not wanted.skill or wanted.skill in {found.id for found in record.skills})
        and (not wanted.tag or wanted.tag.casefold() in tags)
        and all(word in text for word in wanted.words.casefold().split())
    )


def _text(record: AgentRecord) -> str:
    skills = (text for found in record.skills for text in (found.id, found.name, found.description, *found.tags))
    return "\n".join((record.agent, record.description, *skills)).casefold()


def _is_wanted(record: AgentRecord, *, online: bool) -> bool:
    return record.state != "offline" or not online


def _answer(records: Iterable[AgentRecord]) -> Agents:
    return Agents(tuple(records), rfc3339(time.time_ns()))
