"""Every process of a running fleet tells how it is."""

from __future__ import annotations

import functools
import json
import os
import signal
import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agents.demo.stage import eventually
from bus.health.asking import ask
from tests.harness.fleet import RunningFleet

_COMPONENTS = {
    "approvals": {"stage", "own", "trail", "record"},
    "sealer": {"stage", "own", "bus", "streams", "trail", "seal"},
    "witness-a": {"stage", "own"},
    "witness-b": {"stage", "own"},
}
"""What is looked at, where that is not what an agent looks at."""


def _is_ready(where: Path) -> bool:
    return ask(where, "/ready").status == 200


def test_every_process_tells_that_it_is_ready(fleet: RunningFleet) -> None:
    """On a socket of its own below run/, which nobody else may open; nats-server has none."""
    for name in set(fleet.processes()) - {"nats-server"}:
        where = fleet.home.health(name)
        eventually(functools.partial(_is_ready, where), f"{name} is ready")
        assert ask(where, "/live").body["process"] == name
        components = ask(where, "/health?detailed=true").body["components"]
        assert set(components) == {"loop", *_COMPONENTS.get(name, {"stage", "own", "bus", "streams", "trail"})}, name
        del components["loop"]  # a busy machine makes it late
        assert {component["status"] for component in components.values()} == {"ok"}, (name, components)
    assert stat.S_IMODE(fleet.home.health("sealer").parent.stat().st_mode) == 0o700


def test_a_frozen_process_is_not_live(fleet: RunningFleet) -> None:
    """The answer comes from the loop that works: what does not run does not answer, and answers when it runs again."""
    pid, where = fleet.processes()["agent-greeter"]["pid"], fleet.home.health("agent-greeter")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            ask(where, "/live", timeout_s=0.2)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ask(where, "/live").status == 200


def _numbers(where: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    told = ask(where, "/metrics")
    assert told.status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(told.text)
        for sample in family.samples
    }


def test_metrics_are_what_the_trail_tells(fleet: RunningFleet) -> None:
    """What the greeter did is on the trail and among its numbers, as often; a model was asked, no session is open."""
    where = fleet.home.health("agent-greeter")
    fleet.run("ask", "greeter", "hello")
    found = _numbers(where)
    here = {("agent", "greeter")}
    asked = found["agent_requests_total", frozenset({*here, ("operation", "SendMessage"), ("outcome", "success")})]
    assert asked >= 1
    assert found["agent_active_sessions", frozenset(here)] == 0
    assert sum(value for (name, _), value in found.items() if name == "agent_llm_calls_total") >= 1
    lines = fleet.run("audit", "replay", "--json", "--agent", "greeter").stdout.splitlines()
    events = [json.loads(line)["event"] for line in lines]
    run = [event for event in events if event["epoch"] == events[-1]["epoch"]]
    for kind in ("llm.called", "conversation.stepped"):  # cards are asked for at any time
        stored = [event for event in run if event["type"] == f"agentbus.{kind}.v1"]
        counted = found["agentbus_events_total", frozenset({("process", "agent-greeter"), ("type", kind)})]
        assert len(stored) == counted >= 1, kind


def test_every_process_has_its_numbers(fleet: RunningFleet) -> None:
    """Ready, its connections, how late its loop is; of those who seal, how far they are."""
    for name in set(fleet.processes()) - {"nats-server"}:
        found = _numbers(fleet.home.health(name))
        here = ("process", name)
        assert found["agentbus_ready", frozenset({here})] == 1
        assert found["agentbus_connected", frozenset({here, ("connection", "own")})] == 1
        assert found["process_resident_memory_bytes", frozenset()] > 0
        assert ("agentbus_loop_lateness_seconds", frozenset({here})) in found
    assert (
        _numbers(fleet.home.health("approvals"))["agentbus_proposals_open", frozenset({("process", "approvals")})] == 0
    )

    def is_sealed() -> bool:
        sealed = _numbers(fleet.home.health("sealer")).get(
            ("agentbus_checkpoint_size", frozenset({("process", "sealer")}))
        )
        cosigned = _numbers(fleet.home.health("witness-a")).get(
            ("agentbus_cosigned_size", frozenset({("process", "witness-a")}))
        )
        return sealed is not None and cosigned is not None and cosigned > 0

    eventually(is_sealed, "a checkpoint is sealed and cosigned")


def test_the_command_tells_the_same(fleet: RunningFleet) -> None:
    """`agent health` without curl: exit 0 with what is asked for, 3 for who does not run, 75 for who stands still."""
    plain = fleet.run("agent", "health", "greeter")
    assert plain.stdout.startswith("greeter is ready (")
    detailed = json.loads(fleet.run("agent", "health", "sealer", "--detailed", "--json").stdout)
    assert (detailed["process"], detailed["ready"], "seal" in detailed["components"]) == ("sealer", True, True)
    absent = fleet.run("agent", "health", "nobody", check=False)
    assert (absent.returncode, absent.stdout) == (3, "nobody does not run here\n")
    further = fleet.run("agent", "health", "greeter", "--slot", "7", "--json", check=False)
    assert (further.returncode, json.loads(further.stdout)["ready"]) == (3, False)
