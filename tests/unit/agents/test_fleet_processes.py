"""What each process of `agentbus up` is given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agents.home import EXAMPLE, ensure_home
from agents.supervisor.fleet_processes import commands
from bus.surroundings import Home

_WITH_TOOLS = """\
agent: {id: greeter, description: Greets.}
llm: {system_prompt: "env:NO_KEY", pool: [{provider: offline}]}
tools:
  http_request: {hosts: [a.example], headers: {a.example: {X-Key: "Odd env:HEADER_KEY"}}}
  web_search: {base_url: "https://google.serper.dev/search", api_key: "env:SEARCH_KEY"}
mcp: {file: mcp.json}
"""


def test_a_key_goes_to_the_agent_whose_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables with keys reach the agents that refer to them; other agents and the services do not get them."""
    monkeypatch.setenv("OPENAI_API_KEY", "k-1")
    monkeypatch.setenv("UNRELATED_API_KEY", "k-2")
    home = Home(tmp_path / "home")
    fleet = ensure_home(home, EXAMPLE)
    given = {command.name: command.environment for stage in commands(fleet, home, "nats://x") for command in stage}
    assert [name for name, environment in given.items() if "OPENAI_API_KEY" in environment] == ["agent-greeter"]
    assert not any("UNRELATED_API_KEY" in environment for environment in given.values())
    assert {environment["AGENTBUS_NATS_URL"] for environment in given.values()} == {"nats://x"}


def test_keys_of_tools_and_servers_are_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of headers, of searches and of MCP servers; what only looks like a reference in a prompt is none."""
    source = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, source)
    (source / "agents/greeter/agent.yaml").write_text(_WITH_TOOLS)
    (source / "agents/greeter/mcp.json").write_text(
        json.dumps({"mcpServers": {"s": {"command": "true", "env": {"A": "${SERVER_WORD}", "B": "env:SERVER_KEY"}}}})
    )
    wanted = {"HEADER_KEY", "SEARCH_KEY", "SERVER_WORD", "SERVER_KEY"}
    for name in (*wanted, "NO_KEY"):
        monkeypatch.setenv(name, "value")
    home = Home(tmp_path / "home")
    fleet = ensure_home(home, source)
    given = {command.name: command.environment for stage in commands(fleet, home, "nats://x") for command in stage}
    assert wanted <= set(given["agent-greeter"])
    assert not any("NO_KEY" in environment for environment in given.values())
    assert not wanted & set(given["agent-textstats"])
