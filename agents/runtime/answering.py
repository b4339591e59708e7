"""Which of the two ways an agent answers, made from its file. The one place where an agent with a model is put together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agents import llm
from agents.loop import layers_of
from agents.mcp.servers import mcp_servers
from agents.runtime.answers import Answering, SkillAnswering
from agents.runtime.load import Loaded
from agents.runtime.model_answers import Equipment, ModelAnswering
from agents.runtime.models import pool_of
from agents.runtime.remembering import remembering_of
from agents.runtime.routed import routing_of
from agents.tools.catalogue import Place
from agents.tools.sources import rows_of
from agents.tools.toolbox import Toolbox
from bus.audit.emit import Audit
from bus.connection import Connection
from bus.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Outside:
    """What takes the place of the world outside of the process, in the trials of authors."""

    provider: llm.Provider | None = None
    """Answers instead of the models that the file names."""
    sessions: SessionStore | None = None


async def answering_of(
    agent: Loaded, audit: Audit, own: Connection, state: Path, outside: Outside = Outside()
) -> Answering:
    """The way of answering that the agent's file names; close it at the end, in the same task.

    `own` is the connection to the agent's account, `state` the folder that the process writes to. What has to be
    opened before the first request and closed after the last is entered on the stack, in the order in which it is
    needed.

    Raises:
        ToolUnusable: a tool that the file names is not to be had here.
    """
    if agent.file.routing is not None:
        return routing_of(agent.file.routing, audit, outside.provider)
    section = agent.file.llm
    if section is None:
        return SkillAnswering(agent.skills)
    async with AsyncExitStack() as stack:
        pool = pool_of(section, audit, outside.provider)
        stack.push_async_callback(pool.close)
        store = outside.sessions or SessionStore(own)
        memories, rows = remembering_of(agent.file, section, store, audit)
        servers = await stack.enter_async_context(mcp_servers(agent.file.mcp, agent.folder, state, audit))
        toolbox = Toolbox(
            rows_of(agent.file.tools, Place(agent.folder, state), rows), *([servers] if servers.all else [])
        )
        equipment = Equipment(
            pool=pool,
            toolbox=toolbox,
            memories=memories,
            store=store,
            audit=audit,
            layers=layers_of(agent.file.resilience, audit),
        )
        return ModelAnswering(agent.file, section, equipment, stack.pop_all())
    raise AssertionError
