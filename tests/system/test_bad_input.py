"""What a person may get wrong: one clear sentence, an exit code that is not 0, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.command import agentbus
from tests.harness.fleet import CHECKOUT, fleet_source, free_port

Done = subprocess.CompletedProcess[str]


def _agentbus(*arguments: str, **environment: str) -> Done:
    clean = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    return agentbus(*arguments, env={**clean, "PYTHONPATH": str(CHECKOUT), **environment})


def _says(done: Done, code: int, *words: str) -> None:
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr + done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("agentbus: ")
    for word in words:
        assert word in lines[0]


def _edited(folder: Path, name: str, edit: Callable[[str], str]) -> Path:
    folder.mkdir(exist_ok=True)
    source = fleet_source(folder, port=free_port())
    path = source / name
    path.write_text(edit(path.read_text()))
    return source


def test_no_fleet_yet(tmp_path: Path) -> None:
    """Commands that need a fleet say how to make one; status says that nothing runs, with exit 3."""
    home = str(tmp_path / "none")
    _says(_agentbus("ask", "greeter", "hello", "--home", home), 78, "there is no fleet", "agentbus up")
    status = _agentbus("status", "--home", home)
    assert (status.returncode, status.stdout) == (3, f"no fleet runs in {home}\n")
    assert _agentbus("audit", "verify", "--home", home).returncode == 2


def test_an_unknown_key_in_the_fleet_file(tmp_path: Path) -> None:
    """An unknown key of fleet.yaml is named, with the nearest right one."""
    source = _edited(tmp_path / "fleet", "fleet.yaml", lambda text: text.replace("operators:", "operatos:"))
    done = _agentbus("up", "--home", str(tmp_path / "home"), "--fleet", str(source))
    _says(done, 78, "fleet.yaml", "operatos", "did you mean 'operators'?")


def test_an_unknown_key_in_an_agents_file(tmp_path: Path) -> None:
    """An unknown key of agent.yaml is named, by validate and by up."""
    name = "agents/greeter/agent.yaml"
    source = _edited(tmp_path / "fleet", name, lambda text: text.replace("  system_prompt:", "  sytem_prompt:"))
    refused = _agentbus("agent", "validate", str(source / name))
    assert refused.returncode == 1
    assert f"{name}:13: llm.sytem_prompt: unknown key; did you mean 'system_prompt'?" in refused.stdout
    assert "Traceback" not in refused.stderr
    up = _agentbus("up", "--home", str(tmp_path / "home"), "--fleet", str(source))
    assert up.returncode == 78
    assert "sytem_prompt" in up.stderr


def test_a_missing_secret(tmp_path: Path) -> None:
    """A model whose key is not set and may not be skipped stops the start with the name of the variable."""
    name = "agents/greeter/agent.yaml"
    source = _edited(tmp_path / "fleet", name, lambda text: text.replace(", when_key_is_missing: skip", ""))
    done = _agentbus("up", "--home", str(tmp_path / "home"), "--detach", "--fleet", str(source))
    assert done.returncode != 0
    assert "agent-greeter did not start" in done.stderr
    assert "ANTHROPIC_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_occupied_port(tmp_path: Path) -> None:
    """A port that somebody listens on is named, with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "fleet").mkdir()
        source = fleet_source(tmp_path / "fleet", port=port)
        done = _agentbus("up", "--home", str(tmp_path / "home"), "--fleet", str(source))
    _says(done, 78, f"127.0.0.1:{port}", "nats.port")


def test_a_server_that_is_missing_or_too_old(tmp_path: Path) -> None:
    """NATS_SERVER naming nothing, or an old server, is refused with the version that is needed."""
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho nats-server: v2.10.9\n")
    old.chmod(0o755)
    (tmp_path / "fleet").mkdir()
    arguments = (
        "up",
        "--home",
        str(tmp_path / "home"),
        "--fleet",
        str(fleet_source(tmp_path / "fleet", port=free_port())),
    )
    _says(_agentbus(*arguments, NATS_SERVER=str(tmp_path / "absent")), 78, "absent", "2.14.3")
    _says(_agentbus(*arguments, NATS_SERVER=str(old)), 78, "2.10.9", "older than 2.14.3")


def test_a_service_without_its_surroundings(tmp_path: Path) -> None:
    """`agent run` by hand says which variable is missing; a wrong path is named."""
    name = "agents/textstats/agent.yaml"
    source = _edited(tmp_path / "fleet", name, lambda text: text)
    _says(_agentbus("agent", "run", str(source / name)), 78, "AGENTBUS_CREDENTIALS")
    _says(_agentbus("agent", "validate", str(tmp_path / "none.yaml")), 2, "none.yaml")


@pytest.mark.parametrize(
    "command",
    [
        *[(name,) for name in ("up", "down", "status", "provision", "ask", "card", "demo")],
        *[("agent", verb) for verb in ("run", "stop", "start", "restart", "validate")],
        *[("tasks", verb) for verb in ("add", "list", "show", "watch", "cancel", "dead", "retry")],
        *[("audit", verb) for verb in ("tail", "replay", "verify")],
        ("approvals", "serve"),
        ("applier", "serve"),
    ],
)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    """`--help` of every command says what it does and shows an example."""
    done = _agentbus(*command, "--help")
    assert done.returncode == 0
    assert f"Example: agentbus {' '.join(command)}" in " ".join(done.stdout.split())


def test_help_imports_nothing_heavy() -> None:
    """The command tree is shown without importing NATS, pydantic or a model's client: that is what makes it quick."""
    code = (
        "import sys, agents.cli.app; "
        "print([m for m in ('nats', 'pydantic', 'structlog', 'cryptography', 'openai', 'anthropic', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert done.stdout.strip() == "[]"
