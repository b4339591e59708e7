"""An agent with a model, put together from its file. Imported only by processes that have one."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from agents.loop import layers_of
from agents.mcp.servers import mcp_servers
from agents.runtime.answering.answers import Answering, Outside
from agents.runtime.answering.model_answers import Equipment, ModelAnswering
from agents.runtime.answering.models import pool_of
from agents.runtime.answering.remembering import remembering_of
from agents.runtime.loading.load import Loaded
from agents.tools.catalogue import Place
from agents.tools.sources import rows_of
from agents.tools.toolbox import Toolbox
from bus.audit.emit import Audit
from bus.connection import Connection
from bus.sessions import SessionStore
from schemas.agent import Llm


async def model_answering(
    agent: Loaded, section: Llm, audit: Audit, own: Connection, place: tuple[Path, Outside]
) -> Answering:
    """The agent's models with all that stands around them; raises as `answering_of`."""
    state, outside = place
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
