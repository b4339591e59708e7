"""Two processes of a fleet that want one port are named, both of them, before the second one cannot start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agents.cli.agent.validate import validate
from agents.home import EXAMPLE, ensure_home
from agents.ports import clashes
from bus.surroundings import Home
from schemas.agent.http import Http
from schemas.errors import InvalidDocument
from schemas.fleet import AgentRole, Fleet, Listen


def told(instances: int = 1, **wanted: Http) -> list[str]:
    """What is said of agents that want these ports."""
    fleet = Fleet(
        name="example", nats=Listen(port=4222), agents={name: AgentRole(instances=instances) for name in wanted}
    )
    return [str(clash).partition(";")[0] for clash in clashes(fleet, wanted)]


@pytest.mark.parametrize(
    ("instances", "wanted", "said"),
    [
        (1, {"a": Http(health_port=8080, metrics_port=8080), "b": Http()}, []),
        (2, {"a": Http(health_port=8080, metrics_port=9090), "b": Http(health_port=8082)}, []),
        (
            1,
            {"a": Http(health_port=8080), "b": Http(metrics_port=8080)},
            ["port 8080 is wanted twice: http.health_port of a and http.metrics_port of b"],
        ),
        (
            2,
            {"a": Http(health_port=8080), "b": Http(health_port=8081)},
            ["port 8081 is wanted twice: http.health_port of a, instance 1 and http.health_port of b"],
        ),
        (
            2,
            {"a": Http(health_port=8080, metrics_port=8081)},
            ["port 8081 is wanted twice: http.metrics_port of a and http.health_port of a, instance 1"],
        ),
        (
            1,
            {"a": Http(metrics_port=4222)},
            ["port 4222 is wanted twice: the server and http.metrics_port of a"],
        ),
    ],
)
def test_both_are_named(instances: int, wanted: dict[str, Http], said: list[str]) -> None:
    """With the keys of their files; one process may have both its pages at one port."""
    assert told(instances, **wanted) == said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example fleet, in which two agents want one port."""
    shutil.copytree(EXAMPLE, tmp_path / "fleet")
    for agent in ("greeter", "textstats"):
        file = tmp_path / "fleet" / "agents" / agent / "agent.yaml"
        file.write_text(f"{file.read_text()}\nhttp: {{health_port: 8080}}\n")
    return tmp_path / "fleet"


def test_such_a_fleet_is_not_made(folder: Path, tmp_path: Path) -> None:
    """By whatever provisions it."""
    with pytest.raises(InvalidDocument, match=r"of greeter and http\.health_port of textstats"):
        ensure_home(Home(tmp_path / "home"), folder)


def test_such_a_fleet_is_not_valid(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the line of the second one."""
    with pytest.raises(SystemExit) as ended:
        validate([folder], is_strict=False, as_json=True)
    assert ended.value.code == 1
    files = json.loads(capsys.readouterr().out)["files"]
    (problem,) = [each for file in files for each in file["problems"] if each["level"] == "error"]
    assert problem["file"].endswith("agents/textstats/agent.yaml")
    assert (problem["key"], problem["line"] > 1) == ("http.health_port", True)
