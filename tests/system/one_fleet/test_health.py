"""Every process of a running fleet tells how it is."""

from __future__ import annotations

import functools
import os
import signal
import stat
from pathlib import Path

import pytest

from agents.demo.stage import eventually
from tests.harness.fleet import RunningFleet
from tests.harness.health import ask

_COMPONENTS = {
    "approvals": {"stage", "own", "trail"},
    "applier": {"stage", "own", "bus", "trail"},
    "witness-a": {"stage", "own"},
    "witness-b": {"stage", "own"},
}
"""What is looked at, where that is not what an agent and the sealer look at."""


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
