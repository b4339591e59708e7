"""The auditor's commands as an auditor types them, on the trail of a running fleet."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.demo.stage import eventually
from tests.harness.fleet import CHECKOUT, RunningFleet


@pytest.fixture(scope="module", autouse=True)
def conversation(fleet: RunningFleet) -> str:
    """One question to the greeter, and the correlation of its events, which are on the trail."""
    return _asked(fleet, "greeter", "hello")


def _asked(fleet: RunningFleet, agent: str, text: str) -> str:
    """Ask an agent, and wait until the trail has the answer, which may reach the caller first; its correlation."""

    def answered() -> list[dict[str, Any]]:
        return [event for event in fleet.events("request.answered") if event["source"].endswith(f":{agent}")]

    before = len(answered())
    fleet.run("ask", agent, text)
    eventually(lambda: len(answered()) > before, "the trail tells of the answer")
    return str(answered()[before]["correlationid"])


def _lines(fleet: RunningFleet, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in fleet.run("audit", *arguments).stdout.splitlines()]


def test_replay_of_an_agent_and_an_hour(fleet: RunningFleet, conversation: str) -> None:
    """Filters choose; `--limit` ends; a time in the future holds nothing."""
    found = _lines(fleet, "replay", "--since", "1h", "--agent", "greeter", "--correlation", conversation, "--json")
    types = [line["event"]["type"] for line in found]
    assert types[0] == "agentbus.request.received.v1"
    assert types[-1] == "agentbus.request.answered.v1"
    assert {line["subject"].split(".")[2] for line in found} == {"greeter"}
    assert len(_lines(fleet, "replay", "--limit", "3", "--json")) == 3
    assert _lines(fleet, "replay", "--since", "2100-01-01T00:00:00Z", "--json") == []
    assert _lines(fleet, "replay", "--until", "1h", "--json") == []


def test_a_reader_that_has_enough_is_no_error(fleet: RunningFleet) -> None:
    """`agentbus audit replay | head -1` prints a line and nothing on standard error."""
    command = f"{sys.executable} -m agents.cli audit replay --json --home {fleet.home.root} | head -c 10"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=CHECKOUT, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ('{"sequence', "")


def test_following_prints_what_comes(fleet: RunningFleet) -> None:
    """`--follow` prints an event that happens after it began."""
    command = [sys.executable, "-m", "agents.cli", "audit", "replay", "-f", "--type", "request.answered", "-n", "1"]
    with subprocess.Popen(
        [*command, "--since", "2100-01-01T00:00:00Z", "--home", str(fleet.home.root)],
        stdout=subprocess.PIPE, text=True, cwd=CHECKOUT,
    ) as following:  # fmt: skip
        try:
            while following.poll() is None:  # until the follower, which takes a moment to start, has seen one
                fleet.run("ask", "greeter", "again")
            printed, _ = following.communicate()
        finally:
            following.kill()
    assert "request.answered" in printed
    assert following.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--since", "yesterday"), "10m"),
        (("--since", "2030-01-01"), "time zone"),
        (("--outcome", "good"), "denied"),
        (("--subject", "a2a.>"), "audit."),
        (("--from", "0"), "--from"),
        (("--limit", "-1"), "--limit"),
        (("--follow", "--until", "1h"), "not both"),
        (("--since", "1h", "--until", "2h"), "before"),
    ],
)
def test_a_wrong_argument_is_named(fleet: RunningFleet, arguments: tuple[str, ...], word: str) -> None:
    """What cannot be meant is one sentence that says what to write, and exit code 78."""
    done = fleet.run("audit", "replay", *arguments, check=False)
    assert done.returncode == 78
    assert done.stderr.startswith("agentbus: ")
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_conversation_of_several_agents_is_a_tree(fleet: RunningFleet) -> None:
    """Who asked whom, down to the model's call; by its correlation, by an event in it, and as rows."""
    correlation = _asked(fleet, "concierge", "hello there")
    received = next(e for e in fleet.events("request.received") if e["correlationid"] == correlation)
    shown = fleet.run("audit", "replay", "--tree", correlation).stdout.splitlines()
    assert correlation in shown[0]
    assert shown[2].startswith("ops → concierge SendMessage: ok ")
    assert any("concierge → greeter SendMessage: ok " in line for line in shown)
    assert any("model offline/offline" in line for line in shown)
    assert max(map(len, shown)) <= 80
    assert fleet.run("audit", "replay", "--tree", received["id"], "--since", "1h").stdout.splitlines() == shown
    tree = json.loads(fleet.run("audit", "replay", "--tree", correlation, "--json").stdout)
    assert tree["correlation"] == correlation
    by_id = {node["id"]: node for node in tree["nodes"]}
    model = next(node for node in tree["nodes"] if node["kind"] == "model")
    assert by_id[model["parent"]]["writer"] == "greeter"


def test_a_task_is_found_by_its_id(fleet: RunningFleet) -> None:
    """A task's conversation shows how the task went; what is not on the trail is answered with exit 1."""
    task = fleet.run("tasks", "add", "greeter", "hello").stdout.split()[-1]
    fleet.run("tasks", "show", "greeter", task, "--wait")
    shown = fleet.run("audit", "replay", "--tree", task).stdout
    assert f"ops → greeter/{task}: received, working, completed; ok" in " ".join(shown.split())
    assert {line["event"]["type"] for line in _lines(fleet, "replay", "--task", task, "--json")} >= {
        "agentbus.task.received.v1", "agentbus.llm.called.v1", "agentbus.task.changed.v1"
    }  # fmt: skip
    none = fleet.run("audit", "replay", "--tree", "task-999999", check=False)
    assert (none.returncode, "task-999999" in none.stdout) == (1, True)


def test_a_start_is_told(fleet: RunningFleet) -> None:
    """Each process tells of its connections, and the approval service of the rules that it judges by."""
    connected = {event["data"]["resource"] for event in fleet.events("bus.connected")}
    assert {"greeter.bus", "greeter.own", "approvals.own", "applier.bus"} <= connected
    (rules,) = fleet.events("policy.loaded")
    assert set(rules["data"]["metadata"]) == {"policy", "fleet"}
    assert fleet.events("audit.withheld") == []


@pytest.mark.parametrize("to", ["cloudevents", "otlp", "ocsf"])
def test_an_export_has_a_line_for_every_event(fleet: RunningFleet, tmp_path: Path, to: str) -> None:
    """To a file that only its owner reads, as to standard output; what exists is not overwritten."""
    file = tmp_path / "trail.ndjson"
    bounds = ("--agent", "greeter", "--type", "request.answered")
    fleet.run("audit", "export", "--format", to, "-o", str(file), *bounds)
    lines = file.read_text().splitlines()
    assert len(lines) == len(_lines(fleet, "replay", *bounds, "--json"))
    assert [json.loads(line) for line in lines]
    assert file.stat().st_mode & 0o777 == 0o600
    again = fleet.run("audit", "export", "--format", to, "-o", str(file), check=False)
    assert (again.returncode, "exists" in again.stderr) == (78, True)
    assert file.read_text().splitlines() == lines
    assert fleet.run("audit", "export", "--format", to, *bounds).stdout.splitlines() == lines


def test_an_export_for_a_spreadsheet(fleet: RunningFleet, tmp_path: Path) -> None:
    """CSV begins with the names of its columns; a format that there is not is named with those that there are."""
    printed = fleet.run("audit", "export", "--format", "csv", "--since", "1h", "--type", "process.started").stdout
    rows = list(csv.DictReader(io.StringIO(printed, newline="")))
    assert {row["writer"] for row in rows} >= {"greeter", "approvals", "applier"}
    wrong = fleet.run("audit", "export", "--format", "xml", check=False)
    assert (wrong.returncode, "ocsf" in wrong.stderr) == (78, True)
    nowhere = fleet.run("audit", "export", "--format", "csv", "-o", str(tmp_path / "no" / "file"), check=False)
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (78, True)
