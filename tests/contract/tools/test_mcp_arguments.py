"""What an agent's file says of the arguments of an MCP server's tools, and of how much of a result is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.mcp.servers import Servers
from agents.tools.errors import ToolRefused
from tests.contract.tools.mcp_place import Place, offered, tool
from tests.harness.toolbox import called, toolbox


async def test_the_file_decides_about_arguments(tmp_path: Path) -> None:
    """As of any tool, also where one is left out; a tool of which the file says what cannot hold is not offered."""
    place = Place(tmp_path)
    place.lists(tool("echo", properties={"path": {"type": "string"}}), tool("data"))
    rules = {"path": {"allow": ["notes/**"]}}
    async with place.running(arguments={"echo": rules, "data": rules}, max_result_chars=200) as server:
        assert offered(server) == {"echo"}
        assert "has rules for its argument 'path', which it does not have" in server.listed[1].problem
        box = toolbox(Servers((server,)).rows())
        assert json.loads(await called(box, "mcp__files__echo", path="notes/a")) == {"path": "notes/a"}
        for wrong in ({"path": "keys/a"}, {"path": 5}, {}):
            with pytest.raises(ToolRefused, match="mcp__files__echo: path "):
                await called(box, "mcp__files__echo", **wrong)
        assert "[cut: " in await called(box, "mcp__files__echo", path="notes/a", more="x" * 500)
