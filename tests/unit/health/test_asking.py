"""Asking a process how it is: the command, and its exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from agents.cli.agent import health as command
from bus import unix_sockets
from bus.health.asking import ask, doors_of, own_door
from bus.health.checks import Finding, Health
from bus.health.doors import Doors
from bus.health.http import Responder
from bus.health.pages import HealthPages
from bus.surroundings import Home
from schemas.agent import Http
from schemas.errors import Unavailable


def _found(finding: Finding) -> Finding:
    return finding


@contextlib.asynccontextmanager
async def running(path: Path, *findings: Finding) -> AsyncIterator[Health]:
    """A process that tells at `path` what was found."""
    health = Health("agent-greeter")
    health.stage = "serving"
    for number, finding in enumerate(findings):
        health.add(f"part-{number}", partial(_found, finding))
    path.parent.mkdir(parents=True)
    responder = Responder(HealthPages(health, "1.2.3", 0.0).table())
    await responder.start(unix_sockets.listening(path))
    yield health
    await responder.close()


async def told(home: Path, **options: bool) -> int:
    """The exit code of `agent health greeter`."""
    run = partial(command.health, home, "greeter", 0, **{"detailed": False, "as_json": False} | options)
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(run)
    assert isinstance(ended.value.code, int)
    return ended.value.code


async def test_ready_and_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 and 1; what is amiss is shown with its reason, the rest with --detailed, all of it as JSON."""
    path = Home(tmp_path).health("agent-greeter")
    async with running(path, Finding("degraded", "a bit late"), Finding()) as health:
        assert await told(tmp_path) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("greeter is ready (degraded), version 1.2.3, up ")
        assert lines[1:] == ["  part-0   degraded  a bit late"]
        health.stage = "draining"
        assert await told(tmp_path, detailed=True) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("greeter is not ready (failed)")
        assert [line.split()[:2] for line in lines[1:]] == [
            ["stage", "failed"], ["part-0", "degraded"], ["part-1", "ok"]
        ]  # fmt: skip
        assert await told(tmp_path, as_json=True) == 1
        found = json.loads(capsys.readouterr().out)
        assert (found["ready"], found["stage"], "components" in found) == (False, "draining", False)


async def test_who_does_not_run_and_who_stands_still(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No socket, or one that nobody listens on: 3. One that takes connections and does not answer: 75."""
    assert await told(tmp_path) == 3
    path = Home(tmp_path).health("agent-greeter")
    path.parent.mkdir()
    listening = unix_sockets.listening(path)
    monkeypatch.setattr(command, "ask", partial(ask, timeout_s=0.05))
    assert await told(tmp_path) == 75
    assert "stands still" in capsys.readouterr().out
    listening.close()
    assert await told(tmp_path, as_json=True) == 3
    assert json.loads(capsys.readouterr().out)["ready"] is False


async def test_something_else_that_answers() -> None:
    """What is no HTTP is told as such."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INFO {}\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        with pytest.raises(Unavailable, match="does not speak HTTP"):
            await asyncio.to_thread(ask, address, "/health")


def test_where_a_process_is_asked(tmp_path: Path) -> None:
    """At the socket of `agentbus up`, of its unit, or as the environment of its container says."""
    home, run = Home(tmp_path / "home"), tmp_path / "run"
    assert doors_of(home, "sealer", run) == []
    for path in (home.health("sealer"), run / "sealer" / "health.sock"):
        path.parent.mkdir(parents=True)
        unix_sockets.listening(path).close()
    assert doors_of(home, "sealer", run) == [home.health("sealer"), run / "sealer" / "health.sock"]
    assert own_door(Doors()) is None
    assert own_door(Doors(Path("/tmp/h"), 8080)) == Path("/tmp/h")
    assert own_door(Doors(None, 8080, host="::")) == ("::1", 8080)
    assert own_door(Doors(None, 8080, host="192.0.2.1")) == ("192.0.2.1", 8080)


def test_each_instance_has_ports_of_its_own() -> None:
    """The file's port plus the slot; none beyond the last port there is."""
    assert Http().of_slot(0) == (None, None)
    assert Http(health_port=8080, metrics_port=9090).of_slot(2) == (8082, 9092)
    assert Http(health_port=65535).of_slot(1) == (None, None)
