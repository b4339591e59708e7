"""What the directory answers, as its skills' types publish it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from schemas.heartbeat import Heartbeat

DIRECTORY = "directory"
"""The id of the agent that the command line asks."""

Presence = Literal["ready", "draining", "offline"]
CardState = Literal["signed", "not signed", "missing"]
"""`signed`: by the agent's own key, as provisioning knows it; `not signed`: the agent gave another one, which is not shown."""
_Text = Annotated[str, msgspec.Meta(max_length=200)]


class InstanceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One instance that is online."""

    heartbeat: Heartbeat
    heard_s_ago: float


class SkillRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A skill as the agent's card has it."""

    id: str
    name: str
    description: str
    tags: tuple[str, ...]


class AgentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One agent. `since` is when it came to its present state; both times are empty where nothing was heard of it."""

    agent: str
    state: Presence
    since: str = ""
    last_heard: str = ""
    reason: str = ""
    """Why it is offline."""
    instances: tuple[InstanceRecord, ...] = ()
    version: str = ""
    description: str = ""
    skills: tuple[SkillRecord, ...] = ()
    card_state: CardState = "missing"
    card_problem: str = ""
    """Why its card is not known, or not believed."""


class ListInput(msgspec.Struct):
    """Which agents to list."""

    online: bool = False
    """Leave out those that are offline."""


class FindInput(msgspec.Struct):
    """What the agents have to match, all of it; what is empty matches every agent."""

    skill: _Text = ""
    """The id of a skill."""
    tag: _Text = ""
    """A tag of a skill, in any case."""
    words: _Text = ""
    """Words that all occur in the agent's id, description or skills, in any case."""
    online: bool = False


class ShowInput(msgspec.Struct):
    """Which agent to show."""

    agent: _Text


class Agents(msgspec.Struct, frozen=True):
    """Agents in the order of their ids, as they are at `as_of`."""

    agents: tuple[AgentRecord, ...]
    as_of: str


class Shown(msgspec.Struct, frozen=True):
    """One agent with its card, where that is known."""

    agent: AgentRecord
    card: dict[str, Any] | None
