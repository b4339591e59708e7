"""`agentbus agent validate` on MCP servers: what is missing here is a warning, what cannot be right an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from agents.cli.agent.findings import findings

AGENT = """\
agent: {id: helper, description: Helps.}
llm: {system_prompt: p, pool: [{provider: offline}]}
mcp:
"""


def said(folder: Path, servers: str) -> list[str]:
    """The problems of an agent with these servers, with their levels."""
    (folder / "agent.yaml").write_text(AGENT + servers)
    found = findings(folder, {"PATH": "/usr/bin:/bin"}).problems
    return [f"{problem.level}: {problem.key}: {problem.message}" for problem in found]


def test_a_sound_server_is_no_problem(tmp_path: Path) -> None:
    """Nothing is said, and nothing started."""
    assert said(tmp_path, "  files: {command: sh, tools: [read]}\n") == []


def test_what_is_missing_here_is_a_warning(tmp_path: Path) -> None:
    """A program, a secret, a list of tools: it may be there where the agent runs, which starts without in any case."""
    servers = (
        "  files: {command: no-such-program, tools: [read]}\n"
        '  search: {url: "https://a.example/mcp", headers: {Authorization: "Bearer env:NO_SUCH_TOKEN"}, tools: [a]}\n'
        '  notes: {command: sh, env: {API_KEY: "env:NO_SUCH_KEY"}}\n'
    )
    starts = "; the agent starts without this server"
    assert said(tmp_path, servers) == [
        f"warning: mcp.files: command: there is no program 'no-such-program'; install it, or write its path{starts}",
        f"warning: mcp.search: env:NO_SUCH_TOKEN is not set in the environment of this process{starts}",
        f"warning: mcp.notes: env:NO_SUCH_KEY is not set in the environment of this process{starts}",
        "warning: mcp.notes: names no tools, so nothing of it is offered",
    ]


def test_what_is_wrong_with_the_file_is_said_of_the_file(tmp_path: Path) -> None:
    """Every mistake of `mcp.json` at once, each with its key."""
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"a": {"comand": "x"}, "b": {"url": "ftp://x"}}}))
    (tmp_path / "agent.yaml").write_text(AGENT.rstrip() + " mcp.json\n")
    problems = findings(tmp_path, {}).problems
    assert [(Path(problem.file).name, problem.key) for problem in problems] == [
        ("mcp.json", "a.comand"),
        ("mcp.json", "b"),
    ]


def test_the_sdk_is_imported_when_a_server_is_started() -> None:
    """An agent without MCP servers pays nothing for them; without the package, the error says what to install."""
    code = """
import asyncio, sys
import agents.runtime.answering.ways, agents.mcp.servers, agents.cli.mcp_commands
print(sorted({"mcp", "mcp_types", "httpx2", "anyio", "starlette"} & set(sys.modules)))
sys.modules["mcp"] = None
from agents.mcp import sdk
from agents.mcp.errors import McpUnusable
try:
    asyncio.run(sdk.load())
except McpUnusable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["[]", "MCP servers need a package more; run: pip install 'agentbus[mcp]'"]
