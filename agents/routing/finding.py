"""Who can do something: the agents that the live directory knows, the best first.

The directory is an agent like any other (`agents/directory`): whoever asks it has to have it in `asks` of the fleet
file. What it tells of an agent is what that agent says of itself, signed by it: good to choose by, no proof of skill.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from agents.context import Context
from agents.directory.records import AgentRecord, Agents, FindInput, ListInput, SkillRecord

_TIMEOUT_S = 10.0
_LONGEST = 200
_ORDER = {"ready": 0, "draining": 1, "offline": 2}


async def everybody(context: Context, directory: str) -> list[AgentRecord]:
    """All agents that are online, the least busy first; raises as `Context.ask`."""
    found = await context.ask(directory, ListInput(online=True), Agents, skill="list", timeout_s=_TIMEOUT_S)
    return _best_first(found.agents)


async def able(context: Context, directory: str, skill: str, tags: Collection[str] = ()) -> list[AgentRecord]:
    """The agents online that have a skill of this id with all these tags, the least busy first; raises as `Context.ask`.

    Without `skill` any skill with the tags will do.
    """
    wanted = FindInput(skill=skill, tag=next(iter(tags), ""), online=True)
    found = await context.ask(directory, wanted, Agents, skill="find", timeout_s=_TIMEOUT_S)
    return _best_first(record for record in found.agents if any(_fits(its, skill, tags) for its in record.skills))


async def for_need(context: Context, directory: str, need: str) -> list[AgentRecord]:
    """The agents online that a need in words fits: the id of a skill, else a tag, else words; raises as `Context.ask`."""
    need = need[:_LONGEST]
    for wanted in (FindInput(skill=need), FindInput(tag=need), FindInput(words=need)):
        wanted.online = True
        found = await context.ask(directory, wanted, Agents, skill="find", timeout_s=_TIMEOUT_S)
        if found.agents:
            return _best_first(found.agents)
    return []


def skill_for(record: AgentRecord, need: str) -> str:
    """The id of the agent's skill that has this id or tag; empty where none has."""
    folded = need.casefold()
    fitting = (its.id for its in record.skills if folded in {its.id, *(tag.casefold() for tag in its.tags)})
    return next(fitting, "")


def _fits(skill: SkillRecord, wanted: str, tags: Collection[str]) -> bool:
    has = {tag.casefold() for tag in skill.tags}
    return wanted in {"", skill.id} and all(tag.casefold() in has for tag in tags)


def _best_first(records: Iterable[AgentRecord]) -> list[AgentRecord]:
    return sorted(records, key=lambda record: (_ORDER[record.state], _load(record), record.agent))


def _load(record: AgentRecord) -> float:
    """What an instance of it has to do, on average, as its last heartbeats say."""
    beats = [instance.heartbeat for instance in record.instances]
    return sum(beat.running + beat.queued for beat in beats) / len(beats) if beats else 0.0
