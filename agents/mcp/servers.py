"""All MCP servers of one agent, and their tools as rows of its toolbox.

    async with mcp_servers(agent.file.mcp, agent.folder, audit) as servers:
        … servers.rows() …

They are started when this is entered, and nothing waits for them: an agent is ready without them. They end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from agents import llm
from agents.context import Context
from agents.tools.row import Row
from bus.audit.emit import Audit
from schemas.a2a import JsonObject
from schemas.agent import Mcp
from schemas.agent.tool_settings import reflects

from .listing import Listed
from .pins import Seen
from .server import Around, Server, Told

PATIENCE_S: Final = 10.0
"""How long after the start a request waits for servers that are being started."""


class Servers:
    """Those that run. What they offer changes with them: ask each time."""

    def __init__(self, servers: tuple[Server, ...]) -> None:
        self.all = servers
        self._rows: dict[str, tuple[Listed, Row]] = {}
        self._patient_until_s = time.monotonic() + PATIENCE_S

    def rows(self) -> tuple[Row, ...]:
        """The tools that may be used now, and those of servers that are down for a while.

        A row stays the same as long as its definition does.
        """
        return tuple(self._row(server, one) for server in self.all for one in server.offered)

    async def settled(self) -> None:
        """Return when each server was up once, or could not be; but no later than `PATIENCE_S` after the start."""
        left_s = self._patient_until_s - time.monotonic()
        starting = [server for server in self.all if server.state == "starting"]
        if starting and left_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await asyncio.gather(*(server.settled() for server in starting))

    def _row(self, server: Server, one: Listed) -> Row:
        known = self._rows.get(one.name)
        if known is None or known[0] != one:
            known = self._rows[one.name] = (one, _row(server, one))
        return known[1]


@asynccontextmanager
async def mcp_servers(section: Mcp, folder: Path, state: Path, audit: Audit) -> AsyncIterator[Servers]:
    """Start every server of the section; all are ended on leaving.

    `folder` is the agent's, `state` the one that its process writes to.
    """
    told = Told(partial(_up, audit), partial(_down, audit), partial(_refused, audit))
    wanted = {name: spec for name, spec in section.servers.items() if not spec.disabled}
    around = Around(folder, Seen(state if wanted else None), told)
    servers = tuple(Server(name, spec, around) for name, spec in wanted.items())
    try:
        for server in servers:
            server.start()
        yield Servers(servers)
    finally:
        await asyncio.gather(*(server.close() for server in servers))


class _AnyObject:
    """Arguments as the server's own schema has them, which the server itself is to check.

    A pattern in the schema of somebody else could keep this process busy for hours.
    """

    def __init__(self, schema: JsonObject) -> None:
        self.schema = schema

    def read(self, value: JsonObject, _where: str) -> JsonObject:
        """See `llm.tools.Input`."""
        return value

    def plain(self, arguments: JsonObject) -> JsonObject:
        """See `llm.tools.Input`."""
        return arguments


def _row(server: Server, one: Listed) -> Row:
    async def run(arguments: Any, _context: Context) -> str:
        return await server.call(one.tool, arguments)

    spec = server.spec
    return Row(
        llm.Tool(name=one.name, description=one.description, input=_AnyObject(one.schema)),
        run,
        has_effects=one.tool not in spec.read_only,
        needs_approval=one.tool in spec.needs_approval,
        timeout_s=spec.timeout_s,
        reflects=reflects(one.tool in spec.reflect),
        max_result_chars=spec.max_result_chars,
        arguments=spec.arguments.get(one.tool, {}),
        cache_s=spec.cache_s.get(one.tool),
        origin=f"MCP server {server.name}",
        provenance="untrusted",
        ends_itself=True,
    )


def _up(audit: Audit, server: Server) -> None:
    audit.emit("mcp.connected", action="connect", resource=server.name, metadata={"tools": len(server.offered)})


def _down(audit: Audit, server: Server) -> None:
    audit.emit("mcp.lost", action="connect", resource=server.name, outcome="failure")


def _refused(audit: Audit, server: Server, one: Listed) -> None:
    audit.emit(
        "mcp.tool_refused", action=one.name, resource=server.name, outcome="denied",
        reason="its definition is not the one that was allowed",
    )  # fmt: skip
