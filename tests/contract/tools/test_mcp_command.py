"""`agentbus agent mcp`: what it says of servers that answer, of those that do not, and of tools that changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.cli.mcp_commands import mcp
from agents.mcp.pins import pin_of

CHILD = Path(__file__).parents[2] / "harness" / "mcp_child.py"
ECHO, WAIT = ({"name": name, "description": "d", "inputSchema": {"type": "object"}} for name in ("echo", "wait"))
PIN = pin_of("echo", "d", {"type": "object"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An agent's folder, with a server that lists two tools."""
    (tmp_path / "tools.json").write_text(json.dumps([ECHO, WAIT]))
    return tmp_path


def write(folder: Path, **servers: dict[str, Any]) -> None:
    """The agent's file with these servers; `files` is one that answers."""
    child = {"command": sys.executable, "args": [str(CHILD), str(folder)], **servers.pop("files", {})}
    document = {
        "agent": {"id": "helper", "description": "d"},
        "llm": {"system_prompt": "p", "pool": [{"provider": "offline"}]},
        "mcp": {"files": child, **servers},
    }
    (folder / "agent.yaml").write_text(yaml.safe_dump(document))


def said(folder: Path, capsys: pytest.CaptureFixture[str], *, code: int, as_json: bool = False) -> str:
    """What the command prints."""
    with pytest.raises(SystemExit) as ended:
        mcp(folder, as_json=as_json)
    assert ended.value.code == code
    return capsys.readouterr().out


def test_tools_and_pins_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each tool with whether it is offered, and pins to paste that then hold."""
    write(folder, files={"tools": ["echo"]})
    output = said(folder, capsys, code=0)
    assert "files: answers (MCP 2025-11-25), lists 2 tools, 1 offered" in output
    assert "offered    echo" in output
    assert "not named  wait" in output
    begin = output.index("    pins:")
    assert yaml.safe_load(output[begin:]) == {"pins": {"echo": PIN}}
    write(folder, files={"tools": ["echo"], "pins": {"echo": PIN}})
    assert "pins:" not in said(folder, capsys, code=0)


def test_what_is_amiss_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tool that changed or is not there, and a server that does not answer, with its last words."""
    ends = {"command": sys.executable, "args": ["-c", "import sys; print('no licence', file=sys.stderr)"]}
    write(folder, files={"tools": ["echo", "lost"], "pins": {"echo": "sha256:" + "0" * 64}}, ends=ends)
    output = said(folder, capsys, code=1)
    assert "changed    echo" in output
    assert "its definition is not the pinned one" in output
    assert "missing    lost" in output
    assert "ends: does not answer: Connection closed; it last said: no licence" in output
    found = json.loads(said(folder, capsys, code=1, as_json=True))
    assert [server["ok"] for server in found["servers"]] == [False, False]
    (echo, _) = next(server["tools"] for server in found["servers"] if server["name"] == "files")
    assert (echo["pin"], echo["changed"], echo["offered"]) == (PIN, True, False)
