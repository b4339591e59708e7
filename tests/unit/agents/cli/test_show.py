"""`agentbus agent show`: what holds in the end, and where each value came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.cli.agent.show import show
from agents.home import EXAMPLE

FILE = """\
agent:
  id: helper
  description: ${WHAT:-Helps.}
  skills: [{id: answer, name: Answer, description: Answers.}]
llm:
  prompt_file: prompt.md
  pool:
    - {provider: anthropic, model: claude-sonnet-4-5, api_key: "env:HELPERS_API_KEY"}
    - provider: compatible
      base_url: http://${MODEL_HOST:-127.0.0.1}:8000/v1
      model: own
memory: {}
tools:
  write: {approval: always, arguments: {path: {allow: ["notes/**"]}}}
  note: {}
mcp: {files: {command: some-server, tools: [list], needs_approval: [list]}}
limits: {burst: 7}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent with values from everywhere."""
    (tmp_path / "agent.yaml").write_text(FILE)
    (tmp_path / "prompt.md").write_text("You help.\nAlways.\n")
    monkeypatch.setenv("MODEL_HOST", "10.0.0.1")
    monkeypatch.setenv("HELPERS_API_KEY", "a-s3cret-value")
    return tmp_path


def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What `--json` prints."""
    show(folder, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("key", "value", "origin"),
    [
        ("agent.id", "helper", ("file", "agent.yaml", 2)),
        ("agent.description", "Helps.", ("default of a variable", "WHAT", 3)),
        ("agent.version", "1.0.0", ("default", "", 0)),
        ("llm.system_prompt", "You help.\nAlways.\n", ("prompt file", "prompt.md", 0)),
        ("llm.pool.0.api_key", "env:HELPERS_API_KEY", ("file", "agent.yaml", 8)),
        ("llm.pool.1.base_url", "http://10.0.0.1:8000/v1", ("environment", "MODEL_HOST", 10)),
        ("tools.write.approval", "always", ("file", "agent.yaml", 14)),
        ("limits.burst", 7, ("file", "agent.yaml", 17)),
        ("limits.max_queued", 1000, ("default", "", 0)),
    ],
)
def test_each_value_says_where_it_came_from(
    folder: Path, capsys: pytest.CaptureFixture[str], key: str, value: object, origin: tuple[str, str, int]
) -> None:
    """File and line, variable, prompt's file, or default."""
    (found,) = [row for row in shown(folder, capsys)["values"] if row["key"] == key]
    assert (found["value"], (found["origin"], found["source"], found["line"])) == (value, origin)


def test_models_have_prices_and_keys_are_references(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not known is null; a key is never shown."""
    found = shown(folder, capsys)
    known, unknown = found["models"]
    assert (known["input_usd"], known["output_usd"], known["state"]) == ("3", "15", "its key is there")
    assert (unknown["input_usd"], unknown["state"]) == (None, "without a key")
    assert "s3cret" not in json.dumps(found)


def test_tools_have_their_policy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the toolbox will have it: effects, approval, time, arguments."""
    write, note = shown(folder, capsys)["tools"]
    assert (write["name"], write["has_effects"], write["needs_approval"], write["timeout_s"]) == (
        "write",
        True,
        True,
        30.0,
    )
    assert write["arguments"] == {"path": {"allow": ["notes/**"]}}
    assert (note["name"], note["needs_approval"]) == ("note", False)
    assert shown(folder, capsys)["mcp_servers"]["files"]["tools"] == ["list"]


def test_people_get_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody said and is empty is left out."""
    show(folder / "agent.yaml", as_json=False)
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert f"{folder}/agent.yaml: agent helper 1.0.0" in lines
    assert "limits.burst 7 agent.yaml:17" in lines
    assert "limits.max_queued 1000 default" in lines
    assert "llm.system_prompt You help. Always. prompt file prompt.md" in lines
    assert not any(line.startswith("canary") for line in lines)
    assert 'write has effects each call needs approval 30 s agentbus path {"allow": ["notes/**"]}' in lines
    assert "answer text/plain → text/plain Answers." in lines
    assert "s3cret" not in printed


@pytest.mark.parametrize("agent", sorted(path.name for path in (EXAMPLE / "agents").iterdir()))
def test_the_examples_can_be_shown(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Handlers, models, a directory: each has a card."""
    found = shown(EXAMPLE / "agents" / agent, capsys)
    assert found["agent"] == agent
    assert found["card"]["name"] == agent
    assert found["card"]["skills"]
