"""MCP servers as an agent's file has them: found, named, pinned, with their secrets put in and kept out of sight."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm import KeyMissing
from agents.mcp.config import Command, Endpoint, reached_by
from agents.mcp.errors import McpUnusable
from agents.mcp.names import tool_name
from agents.mcp.pins import Pins, pin_of
from agents.runtime.loading.load import load_agent
from schemas.agent import Mcp, McpServer
from schemas.errors import InvalidDocument
from schemas.redaction import REGISTERED

AGENT = "agent: {id: greeter, description: d}\nllm: {system_prompt: p, pool: [{provider: offline}]}\n"
HERE = {"PATH": "/usr/bin:/bin", "HOME": "/home/a", "AGENTBUS_CREDENTIALS": "/keys", "NOTIFY_SOCKET": "@n"}
SECRET = "a-secret-that-nobody-sees"
SERVER = st.from_regex(r"[A-Za-z0-9]{1,8}([_-][A-Za-z0-9]{1,8}){0,2}", fullmatch=True)
TOOL = st.text("abAB01_-./ é", min_size=1, max_size=128)


def child(**changes: Any) -> McpServer:
    """A server that is a child."""
    return McpServer(**{"command": "true", "tools": ("read",), **changes})


def command_of(**changes: Any) -> Command:
    """How it is started."""
    found = reached_by("files", child(**changes), Path("/agent"), {**HERE, "API_TOKEN": SECRET, "MODE": "quick"})
    assert isinstance(found, Command)
    return found


def test_a_file_beside_the_agent_is_read(tmp_path: Path) -> None:
    """`mcp: mcp.json` is read with the agent, so that what is wrong with it is said before anything runs."""
    (tmp_path / "agent.yaml").write_text(AGENT + "mcp: mcp.json\n")
    with pytest.raises(InvalidDocument, match=r"mcp\.json: cannot be read: No such file"):
        load_agent(tmp_path / "agent.yaml")
    (tmp_path / "mcp.json").write_text("{")
    with pytest.raises(InvalidDocument, match=r"mcp\.json: Expecting property name"):
        load_agent(tmp_path / "agent.yaml")
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"files": {"command": "true", "tool": ["read"]}}}))
    with pytest.raises(InvalidDocument, match=r"files.tool: unknown key; did you mean 'tools'\?"):
        load_agent(tmp_path / "agent.yaml")
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"files": {"command": "true", "tools": ["read"]}}}))
    assert load_agent(tmp_path / "agent.yaml").file.mcp == Mcp.model_validate({"files": child()})


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """Whatever writes to the folder cannot fill the memory."""
    (tmp_path / "mcp.json").write_text(" " * 300_000)
    (tmp_path / "agent.yaml").write_text(AGENT + "mcp: mcp.json\n")
    with pytest.raises(InvalidDocument, match="is over 256 KiB"):
        load_agent(tmp_path / "agent.yaml")


def test_a_file_says_one_thing(tmp_path: Path) -> None:
    """A key that stands twice, and a link that leads elsewhere, would show reviewers another server."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "agent.yaml").write_text(AGENT + "mcp: mcp.json\n")
    (tmp_path / "a" / "mcp.json").write_text('{"mcpServers": {"files": {"command": "a", "command": "b"}}}')
    with pytest.raises(InvalidDocument, match="twice"):
        load_agent(tmp_path / "a" / "agent.yaml")
    (tmp_path / "a" / "mcp.json").rename(tmp_path / "mcp.json")
    (tmp_path / "a" / "mcp.json").symlink_to(tmp_path / "mcp.json")
    with pytest.raises(InvalidDocument, match="outside"):
        load_agent(tmp_path / "a" / "agent.yaml")


def test_servers_go_with_a_model(tmp_path: Path) -> None:
    """A handler has no use for tools of a model."""
    (tmp_path / "agent.yaml").write_text(
        "agent: {id: a, description: d}\nhandler: handler.py:answer\nmcp: {files: {command: x}}\n"
    )
    with pytest.raises(InvalidDocument, match="'mcp' goes with 'llm'"):
        load_agent(tmp_path / "agent.yaml")


def test_a_child_gets_what_is_allowed_and_no_more() -> None:
    """Of the agent's own environment only names of the list pass; keys and sockets of the agent do not."""
    environment = command_of(env={"TOKEN": "${API_TOKEN}", "SPEED": "${MODE}", "LEVEL": "${LEVEL:-3}"}).environment
    assert environment == {
        "PATH": HERE["PATH"], "HOME": HERE["HOME"], "TOKEN": SECRET, "SPEED": "quick", "LEVEL": "3",
    }  # fmt: skip


def test_what_is_put_in_is_not_shown() -> None:
    """Neither a command nor an endpoint shows its secrets, and logs and trail know them from then on."""
    command = command_of(env={"TOKEN": "env:API_TOKEN"})
    server = McpServer(url="https://a.example/mcp", headers={"Authorization": "Bearer env:API_TOKEN"})
    endpoint = reached_by("a", server, Path("/agent"), {"API_TOKEN": SECRET})
    assert isinstance(endpoint, Endpoint)
    assert endpoint.headers == {"Authorization": f"Bearer {SECRET}"}
    assert SECRET not in repr((command, endpoint))
    assert REGISTERED.are_in(f"it is {SECRET}")


def test_what_is_missing_is_named() -> None:
    """A variable, a secret or a program that is not there keeps the server from being started."""
    with pytest.raises(McpUnusable, match=r"mcp.files.env.TOKEN: the environment variable NO_SUCH is not set"):
        command_of(env={"TOKEN": "${NO_SUCH}"})
    with pytest.raises(KeyMissing, match="NO_SUCH"):
        command_of(env={"TOKEN": "env:NO_SUCH"})
    with pytest.raises(McpUnusable, match=r"there is no program 'no-such-program'"):
        command_of(command="no-such-program")


def test_a_program_of_the_folder_is_named_by_its_path(tmp_path: Path) -> None:
    """A file that lies in the agent's folder does not take the place of a program by its name."""
    (tmp_path / "own-server").write_text("#!/bin/sh\n")
    (tmp_path / "own-server").chmod(0o755)
    with pytest.raises(McpUnusable):
        reached_by("files", child(command="own-server"), tmp_path, HERE)
    found = reached_by("files", child(command="./own-server"), tmp_path, HERE)
    assert isinstance(found, Command)
    assert found.argv == (str(tmp_path / "own-server"),)


@given(SERVER, TOOL, SERVER, TOOL)
def test_every_tool_has_a_name_of_its_own(server: str, tool: str, other: str, another: str) -> None:
    """Names are valid for every provider, whatever a server calls its tools, and different for different tools."""
    names = [tool_name(server, tool), tool_name(other, another)]
    assert all(re.fullmatch(r"mcp__[A-Za-z0-9_-]{1,59}", name) for name in names)
    assert ((server, tool) == (other, another)) == (names[0] == names[1])


def test_a_plain_name_stands_as_it_is() -> None:
    """A name that fits is not changed; others are, and say so by their digest."""
    assert tool_name("files", "read_file") == "mcp__files__read_file"
    assert re.fullmatch(r"mcp__files__read_file_[0-9a-f]{8}", tool_name("files", "read.file"))
    assert len(tool_name("files", "x" * 128)) == 64


def test_a_pin_is_of_the_whole_definition() -> None:
    """Name, description and schema count; the order of keys does not."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    pin = pin_of("read", "reads", schema)
    assert re.fullmatch("sha256:[0-9a-f]{64}", pin)
    assert pin_of("read", "reads", dict(reversed(schema.items()))) == pin
    others = {pin_of("read2", "reads", schema), pin_of("read", "reads it", schema), pin_of("read", "reads", {})}
    assert len(others | {pin}) == 4


def test_a_tool_stays_what_it_was() -> None:
    """A pin of the file counts; without one, what was seen first. Who lists ever new names is not remembered for ever."""
    seen: dict[str, str] = {}
    pins = Pins({"read": "sha256:1"}, seen)
    assert not pins.holds("read", "sha256:2")
    assert pins.holds("read", "sha256:1")
    assert pins.holds("write", "sha256:3")
    assert not pins.holds("write", "sha256:4")
    assert seen == {"write": "sha256:3"}
    assert not all(pins.holds(f"t{number}", "sha256:5") for number in range(3_000))
    assert pins.holds("write", "sha256:3")
    assert len(seen) < 3_000
