"""A backup of a fleet that works, and the fleet that is made of it: nothing that was said to be stored is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bus.provision.home_staged import MOST_HELD_S
from bus.surroundings import Home
from tests.harness.command import agentbus
from tests.harness.fleet import CHECKOUT, RunningFleet, running_fleet

pytestmark = pytest.mark.timeout(300)
_HELD_AND_KILLED = """
import os, signal, sys

from bus.provision.held import held

with held(int(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def asked_all_the_time(fleet: RunningFleet) -> Iterator[list[int]]:
    """Somebody asks an agent, one question after the other; the exit codes."""
    codes: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            codes.append(fleet.run("ask", "greeter", "hello", check=False).returncode)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield codes
    finally:
        ended.set()
        thread.join()


def left_by_a_killed_holder(pid: int) -> int:
    """The exit code of a process that is killed while it holds the server."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run([sys.executable, "-c", _HELD_AND_KILLED, str(pid)], env=environment, check=False).returncode


def test_a_fleet_that_works_is_copied_and_goes_on_elsewhere(tmp_path: Path) -> None:
    """The trail is sound, a task that waited is done, nobody was refused; what came after the backup is not there."""
    with running_fleet(tmp_path) as fleet:
        fleet.run("agent", "stop", "textstats")
        waits = fleet.run("tasks", "add", "textstats", "--data", '{"text": "wait for me"}').stdout.strip()
        with asked_all_the_time(fleet) as codes:
            told = json.loads(fleet.run("backup", str(tmp_path / "file"), "--json").stdout)
        assert 0 < told["held_s"] < MOST_HELD_S
        assert set(codes) == {0}
        later = fleet.run("tasks", "add", "greeter", "too late").stdout.strip()
        assert left_by_a_killed_holder(fleet.processes()["nats-server"]["pid"]) == -signal.SIGKILL
        fleet.run("ask", "greeter", "are you there?")
    again = RunningFleet(Home(tmp_path / "again"))
    done = agentbus("restore", tmp_path / "file", "--home", again.home.root, "--sha256", told["sha256"])
    assert (done.returncode, "sound: " in done.stdout) == (0, True), done.stdout + done.stderr
    again.run("up", "--detach")
    try:
        again.run("ask", "greeter", "hello")
        again.run("tasks", "show", "textstats", waits, "--wait")
        assert again.run("tasks", "show", "greeter", later, check=False).returncode != 0
        assert "sound: " in again.run("audit", "verify").stdout
        assert not list(again.home.root.glob("state/*/audit/spool.*-*"))
    finally:
        again.run("down")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "file", "home", "source"]
