"""Whom a message is passed on to, the best first: by a table, or by what the live directory knows.

The third strategy, a model that picks, is `picking`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple, Protocol

from agents.context import Context
from agents.directory.records import AgentRecord
from agents.routing import finding
from agents.routing.errors import Unroutable
from schemas import a2a, names
from schemas.agent import Route, Routing
from schemas.errors import InvalidArgument

_LONGEST_TEXT = 10_000
"""Of a message's text, so much is compared with a pattern."""
_NAMED = 8
TAGS_KEY = "tags"


class Choice(NamedTuple):
    """An agent, and the skill of it that the message is for; its first one where that is empty."""

    agent: str
    skill: str = ""


class Strategy(Protocol):
    """A way to choose."""

    def choices(self, context: Context) -> AsyncGenerator[Choice, None]:
        """The agents to try, one after the other while each is away.

        Raises:
            Unroutable: there is none; says who is known. A2AError: the directory, or a model, could not be asked.
        """


class Static:
    """The first row of the table that fits; there is no second one to try."""

    def __init__(self, routing: Routing) -> None:
        self._rows = [(route, _Pattern(route.pattern) if route.pattern else None) for route in routing.routes]

    async def choices(self, context: Context) -> AsyncGenerator[Choice, None]:
        """See `Strategy`."""
        message = context.message
        for route, pattern in self._rows:
            if _fits(route, pattern, message):
                yield Choice(route.agent, route.as_skill or skill_named(message))
                return
        wanted = skill_named(message)
        said = f"skill {wanted!r}" if wanted else "it"
        rows = "; ".join(map(_described, (route for route, _ in self._rows[:_NAMED])))
        raise Unroutable(f"no route of {context.agent} is for {said}; there are: {rows}")


class Capability:
    """Whoever is online and has the skill with all tags, the least busy first."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing

    async def choices(self, context: Context) -> AsyncGenerator[Choice, None]:
        """See `Strategy`."""
        routing = self._routing
        skill = routing.skill or skill_named(context.message)
        tags = {*routing.tags, *tags_of(context.message)}
        if not skill and not tags:
            raise Unroutable(
                f"{context.agent} passes messages on by skill: name one in metadata.{names.SKILL_KEY}, "
                f"or tags in metadata.{TAGS_KEY}"
            )
        found = among(await finding.able(context, routing.directory, skill, tags), routing, context)
        for record in found:
            yield Choice(record.agent, skill or _with_tags(record, tags))
        if not found:
            wanted = " and ".join(
                filter(None, [f"skill {skill!r}" if skill else "", f"tags {sorted(tags)}" if tags else ""])
            )
            known = among(await finding.everybody(context, routing.directory), routing, context)
            raise Unroutable(f"nobody who is online has {wanted}; online are: {skills_of(known)}")


def among(records: Iterable[AgentRecord], routing: Routing, context: Context) -> list[AgentRecord]:
    """Those that may be chosen: not the router itself, nor who asked it."""
    never = {context.agent, context.caller, routing.directory}
    return [
        record
        for record in records
        if record.agent not in never and (not routing.agents or record.agent in routing.agents)
    ]


def skills_of(records: Iterable[AgentRecord]) -> str:
    """Who is known for what, for whoever asked for something else."""
    known = [f"{record.agent} ({', '.join(skill.id for skill in record.skills)})" for record in records]
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more or "none"


def skill_named(message: a2a.Message) -> str:
    """The skill that a message names; empty where it names none."""
    return str(message.metadata.get(names.SKILL_KEY, ""))[:70]


def tags_of(message: a2a.Message) -> list[str]:
    """The tags that a message names in its metadata.

    Raises:
        InvalidArgument: they are no list of texts.
    """
    tags = message.metadata.get(TAGS_KEY, [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidArgument(f"message.metadata.{TAGS_KEY} is a list of texts")
    return tags[:_NAMED]


def _fits(route: Route, pattern: _Pattern | None, message: a2a.Message) -> bool:
    if route.skill and not fnmatch.fnmatchcase(skill_named(message), route.skill):
        return False
    if route.tag and route.tag.casefold() not in map(str.casefold, tags_of(message)):
        return False
    return pattern is None or pattern.fits(message.text())


class _Pattern:
    """A pattern of a whole text. Its stars never go back, so no text makes it slow."""

    def __init__(self, pattern: str) -> None:
        self._compiled = re.compile(fnmatch.translate(pattern.casefold()), re.DOTALL)

    def fits(self, text: str) -> bool:
        return self._compiled.match(text[:_LONGEST_TEXT].casefold()) is not None


def _described(route: Route) -> str:
    said = {"skill": route.skill, "tag": route.tag, "pattern": route.pattern}
    words = ", ".join(f"{name} {value!r}" for name, value in said.items() if value) or "everything"
    return f"{words} → {route.agent}"


def _with_tags(record: AgentRecord, tags: set[str]) -> str:
    wanted = {tag.casefold() for tag in tags}
    return next((s.id for s in record.skills if wanted <= {tag.casefold() for tag in s.tags}), "")
