"""The directory and `agentbus agents …` with a whole fleet: instances that start, leave and are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.demo.stage import eventually
from tests.harness.fleet import CHECKOUT, RunningFleet, instance, running_fleet

_INTERVAL_S = 3.0
"""Three of them missed: a machine that stands still for seconds makes nobody offline."""


def _quick(source: Path) -> None:
    for path in source.glob("agents/*/agent.yaml"):
        path.write_text(f"{path.read_text()}heartbeat_interval_s: {_INTERVAL_S}\n")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """The example fleet with a heartbeat every few seconds."""
    with running_fleet(tmp_path_factory.mktemp("quick"), prepare=_quick) as running:
        yield running


def _listed(fleet: RunningFleet, *options: str) -> dict[str, dict[str, Any]]:
    answer = json.loads(fleet.run("agents", "list", "--json", *options).stdout)
    return {record["agent"]: record for record in answer["agents"]}


def _is(fleet: RunningFleet, agent: str, state: str, instances: int) -> bool:
    record = _listed(fleet)[agent]
    return record["state"] == state and len(record["instances"]) == instances


@pytest.mark.timeout(120)
def test_instances_are_counted_and_a_killed_one_is_missed(quick: RunningFleet, tmp_path: Path) -> None:
    """A drained instance is gone at once. Two processes of an agent are two instances; after kill -9 of one there
    is one, after kill -9 of the other the agent is offline because it was silent."""
    quick.run("agent", "stop", "textstats")
    left = _listed(quick)["textstats"]
    assert (left["state"], left["reason"]) == ("offline", "it left")
    with (
        instance(quick.home, "textstats", "0", tmp_path / "0") as first,
        instance(quick.home, "textstats", "1", tmp_path / "1") as second,
    ):
        eventually(lambda: _is(quick, "textstats", "ready", 2), "two instances")
        second.kill()
        eventually(lambda: _is(quick, "textstats", "ready", 1), "one instance", 40)
        first.kill()
        eventually(lambda: _is(quick, "textstats", "offline", 0), "offline", 40)
    assert _listed(quick)["textstats"]["reason"] == "it missed 3 heartbeats"
    assert _listed(quick, "--skill", "count")["textstats"]["state"] == "offline"
    quick.run("agent", "start", "textstats")
    eventually(lambda: _is(quick, "textstats", "ready", 1), "ready again")


@pytest.mark.timeout(120)
def test_two_directories_know_the_same(quick: RunningFleet, tmp_path: Path) -> None:
    """A second instance of the directory knows every agent and card by itself; without any the command says how to
    start it, with exit 69."""
    with instance(quick.home, "directory", "1", tmp_path / "directory") as second:
        eventually(lambda: _is(quick, "directory", "ready", 2), "two directories")
        quick.run("agent", "stop", "directory")
        alone = _listed(quick)
        assert len(alone["directory"]["instances"]) == 1
        assert all(record["state"] == "ready" and record["skills"] for record in alone.values())
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
    for command in (("list",), ("show", "greeter"), ("watch",)):
        refused = quick.run("agents", *command, check=False)
        assert refused.returncode == 69
        assert "agentbus agent start directory" in refused.stderr
    quick.run("agent", "start", "directory")
    eventually(lambda: all(record["skills"] for record in _listed(quick).values()), "it knows all again")


@pytest.mark.timeout(120)
async def test_watch_tells_changes_as_they_happen(quick: RunningFleet) -> None:
    """`watch` prints who is there, then that an agent left and came back; Ctrl-C ends it with 130."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agents.cli", "agents", "watch", "--json", "--home", str(quick.home.root),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert process.stdout is not None

    async def change() -> tuple[str, str]:
        assert process.stdout is not None
        line = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        return line["agent"], line["state"]

    there = [await change() for _ in range(4)]
    assert there == [(agent, "ready") for agent in ("concierge", "directory", "greeter", "textstats")]
    await asyncio.to_thread(quick.run, "agent", "stop", "greeter")
    seen = [await change()]
    if seen == [("greeter", "draining")]:
        seen.append(await change())
    assert seen[-1] == ("greeter", "offline")
    await asyncio.to_thread(quick.run, "agent", "start", "greeter")
    assert await change() == ("greeter", "ready")
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 20) == 130
