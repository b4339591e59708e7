"""Which way an agent answers, by its file: skills in Python, a model, or a router.

What a model, a router or a memory needs is imported only by processes that have one: it is a quarter of a worker's start, and
several megabytes.
"""

from __future__ import annotations

from pathlib import Path

from agents.runtime.answering.answers import NOTHING, Answering, Outside, SkillAnswering
from agents.runtime.loading.load import Loaded
from bus.audit.emit import Audit
from bus.connection import Connection
from bus.sessions import SessionStore


async def answering_of(
    agent: Loaded, audit: Audit, own: Connection, state: Path, outside: Outside = NOTHING
) -> Answering:
    """The way of answering that the agent's file names; close it at the end, in the same task.

    `own` is the connection to the agent's account, `state` the folder that the process writes to. What has to be
    opened before the first request and closed after the last is entered on the stack, in the order in which it is
    needed.

    Raises:
        ToolUnusable: a tool that the file names is not to be had here.
    """
    if agent.file.routing is not None:
        from agents.runtime.answering.routed import routing_of

        return routing_of(agent.file, agent.file.routing, audit, outside.provider)
    if agent.file.llm is not None:
        from agents.runtime.answering.model_agent import model_answering

        return await model_answering(agent, agent.file.llm, audit, own, (state, outside))
    if agent.file.memory is not None:
        from agents.memory import memory_of

        store = outside.sessions or SessionStore(own)
        return SkillAnswering(agent.skills, memory_of(agent.file.memory, store))
    return SkillAnswering(agent.skills)
