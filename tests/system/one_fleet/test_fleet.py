"""The fleet as processes: looked at, killed, started again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from agents.demo.stage import eventually
from tests.harness.fleet import CHECKOUT, RunningFleet, free_port
from tests.system.test_fleet import _is_alive

_EVERYTHING = {
    "nats-server",
    "approvals",
    "applier",
    "agent-greeter",
    "agent-textstats",
    "agent-concierge",
    "agent-directory",
    "sealer",
    "witness-a",
    "witness-b",
}


def test_status_shows_every_process_ready(fleet: RunningFleet) -> None:
    """`status` lists all ten processes, ready, each with a live pid; exit 0."""
    rows = fleet.processes()
    assert set(rows) == _EVERYTHING
    assert {row["state"] for row in rows.values()} == {"ready"}
    assert all(_is_alive(row["pid"]) for row in rows.values())


def test_a_worker_without_a_model_is_small(fleet: RunningFleet) -> None:
    """A worker that has loaded no model client takes less than 64 MiB, with its share of what the fleet's processes share."""
    sums = Path(f"/proc/{fleet.processes()['agent-textstats']['pid']}/smaps_rollup").read_text()
    taken = re.search(r"^Pss:\s+(\d+) kB", sums, re.MULTILINE)
    assert taken is not None
    assert int(taken[1]) < 64 * 1024


def test_a_home_serves_one_fleet(fleet: RunningFleet) -> None:
    """A second `up` on the same home is refused with a sentence, and disturbs nothing."""
    refused = fleet.run("up", check=False)
    assert refused.returncode == 78
    assert "runs in" in refused.stderr
    assert {row["state"] for row in fleet.processes().values()} == {"ready"}


def test_tail_follows_the_trail(fleet: RunningFleet) -> None:
    """`audit tail` prints an event that happens after it was started, a line each."""
    command = [sys.executable, "-m", "agents.cli", "audit", "tail", "-n", "1", "--json", "--home", str(fleet.home.root)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ) as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["sequence"] > 0
        fleet.run("ask", "textstats", "--data", '{"text": "tail"}')
        kinds: list[str] = []
        while len(kinds) < 2:
            event = json.loads(tail.stdout.readline())["event"] or {"source": ""}  # a checkpoint may come between
            kinds += [event["type"]] if event["source"].endswith(":textstats") else []
        tail.terminate()
    assert kinds == ["agentbus.request.received.v1", "agentbus.request.answered.v1"]


def test_a_killed_server_comes_back_and_the_fleet_goes_on(fleet: RunningFleet) -> None:
    """nats-server killed with -9 is started again; agents reconnect and answer; the trail stays sound."""
    before = fleet.processes()
    os.kill(before["nats-server"]["pid"], signal.SIGKILL)

    eventually(lambda: fleet.run("ask", "concierge", "hello", check=False).returncode == 0, "all three of them answer")
    after = fleet.processes()
    assert {name for name, row in after.items() if row["pid"] != before[name]["pid"]} == {"nats-server"}
    assert fleet.run("audit", "verify").stdout.startswith("sound")


async def test_a_process_that_waits_for_the_server_can_be_stopped(fleet: RunningFleet, tmp_path: Path) -> None:
    """An agent started while no server answers waits; SIGTERM ends it with 0, not only after being killed."""
    home = fleet.home
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(f"\0{tmp_path.name}")
    notices.settimeout(20)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agents.cli", "agent", "run", str(home.live("textstats") / "agent.yaml"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={
            **os.environ, "PYTHONPATH": str(CHECKOUT), "AGENTBUS_NATS_URL": f"nats://127.0.0.1:{free_port()}",
            "AGENTBUS_CREDENTIALS": str(home.credentials("textstats")), "AGENTBUS_STATE": str(tmp_path),
            "AGENTBUS_HOME": str(home.root), "NOTIFY_SOCKET": f"@{tmp_path.name}",
        },
    )  # fmt: skip
    with notices:
        assert "waiting for the NATS server" in (await asyncio.to_thread(notices.recv, 4096)).decode()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0
