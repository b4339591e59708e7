"""What `nats micro` shows of a fleet, with the real command."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from agents.demo.stage import find_nats
from tests.harness.fleet import RunningFleet
from tests.harness.needs import needs_nats

AGENTS = {"concierge", "directory", "greeter", "textstats"}

pytestmark = needs_nats


def _nats(fleet: RunningFleet, *arguments: str) -> str:
    done = subprocess.run(
        [str(find_nats()), "--context", "ops", *arguments],
        env={**os.environ, "XDG_CONFIG_HOME": str(fleet.home.contexts)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _endpoints(stats: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {endpoint["name"]: endpoint for endpoint in stats["endpoints"]}


def _sent(fleet: RunningFleet) -> dict[str, Any]:
    """What the word counter says of the messages that it was sent."""
    stats = json.loads(_nats(fleet, "micro", "stats", "textstats", "--json"))
    return _endpoints(stats[0] if isinstance(stats, list) else stats)["SendMessage"]


def test_every_agent_is_listed(fleet: RunningFleet) -> None:
    """`nats micro ls` shows each agent of the fleet, its version and what it is for; `ping` hears each."""
    listed = _nats(fleet, "micro", "ls")
    pinged = _nats(fleet, "micro", "ping")
    for agent in AGENTS:
        assert agent in listed
        assert agent in pinged
    assert "Counts the words" in listed


def test_an_agents_operations_are_its_endpoints(fleet: RunningFleet) -> None:
    """`nats micro info` names the eleven operations, the subjects that they are asked on, and the queue group."""
    info = json.loads(_nats(fleet, "micro", "info", "textstats", "--json"))["info"]
    endpoints = _endpoints(info)
    assert len(endpoints) == 11
    assert endpoints["SendMessage"]["subject"] == "a2a.v1.req.textstats.*.SendMessage"
    assert endpoints["SendMessage"]["queue_group"] == "textstats"
    assert info["version"] == "1.0.0"
    assert len(info["metadata"]["tree"]) == 40


def test_requests_and_errors_are_counted(fleet: RunningFleet) -> None:
    """`nats micro stats` counts what was asked, what failed and how long it took; an error is told by its reason alone."""
    before = _sent(fleet)
    fleet.run("ask", "textstats", "--data", '{"text": "one two"}')
    fleet.run("ask", "textstats", "--data", '{"text": 5}', check=False)
    sent = _sent(fleet)
    assert (sent["num_requests"], sent["num_errors"]) == (before["num_requests"] + 2, before["num_errors"] + 1)
    assert sent["last_error"] == "INVALID_ARGUMENT"
    assert 0 < sent["average_processing_time"] <= sent["processing_time"]
    assert "textstats" in _nats(fleet, "micro", "stats", "textstats")
