"""An MCP server that is a child of the test: its folder, its client, what was told of it."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.mcp.pins import Seen
from agents.mcp.server import Around, Server, Times, Told
from schemas.agent import McpServer

CHILD = Path(__file__).parents[2] / "harness" / "mcp_child.py"
SOON = Times(first_wait_s=0.01, longest_wait_s=0.02, relist_s=0.0)


def tool(name: str, description: str = "does it", **schema: Any) -> dict[str, Any]:
    """A tool as a server lists it."""
    return {"name": name, "description": description, "inputSchema": {"type": "object", **schema}}


@asynccontextmanager
async def settled(server: Server) -> AsyncIterator[Server]:
    """A server's client that was up, or could not be."""
    server.start()
    try:
        await server.settled()
        yield server
    finally:
        await server.close()


@dataclass
class Place:
    """A server's folder, and what was told of the server."""

    folder: Path
    told: list[str] = field(default_factory=list)

    def lists(self, *tools: dict[str, Any]) -> None:
        """What it says from now on that it can do."""
        (self.folder / "tools.json").write_text(json.dumps(tools))

    @property
    def pid(self) -> int:
        """Of the child that was started last."""
        return int((self.folder / "pid").read_text())

    def server(self, mode: str = "", times: Times = SOON, **spec: Any) -> Server:
        """One that is not started."""
        told = Told(
            on_up=lambda server: self.told.append(f"up {len(server.offered)}"),
            on_down=lambda _: self.told.append("down"),
            on_changed=lambda _, one: self.told.append(f"changed {one.tool}"),
        )
        args = (str(CHILD), str(self.folder), mode)
        whole = {"command": sys.executable, "args": args, "tools": ("*",), "timeout_s": 30, **spec}
        return Server("files", McpServer(**whole), Around(self.folder, Seen(self.folder), told, times))

    @asynccontextmanager
    async def running(self, mode: str = "", times: Times = SOON, **spec: Any) -> AsyncIterator[Server]:
        """A server that was up, or could not be."""
        async with settled(self.server(mode, times, **spec)) as server:
            yield server


def offered(server: Server) -> set[str]:
    """The tools that a model gets."""
    return {one.tool for one in server.offered}
