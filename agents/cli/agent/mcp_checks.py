"""What a schema cannot know of an agent's MCP servers: whether their programs and secrets are there. None is started."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from agents.cli.agent.draft import Check, Draft
from agents.llm import PoolUnusable
from agents.mcp.config import reached_by
from agents.mcp.errors import McpUnusable
from schemas.agent import Mcp
from schemas.errors import Problem


def _servers(draft: Draft) -> Iterator[Problem]:
    """Each server can be started, or called, from here. The agent starts without those that cannot."""
    section = draft.loaded.file.mcp if draft.loaded else Mcp()
    if section and importlib.util.find_spec("mcp") is None:
        said = "its package is not installed here; run: pip install 'agentbus[mcp]'"
        yield draft.problem(("mcp",), said, "warning")
    for name, server in section.servers.items():
        try:
            reached_by(name, server, draft.folder, draft.environment)
        except (McpUnusable, PoolUnusable) as error:
            said = str(error).removeprefix(f"mcp.{name}.")
            yield draft.problem(("mcp", name), f"{said}; the agent starts without this server", "warning")
        if not server.tools:
            yield draft.problem(("mcp", name), "names no tools, so nothing of it is offered", "warning")


MCP_CHECKS: tuple[Check, ...] = (_servers,)
