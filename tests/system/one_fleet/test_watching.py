"""Looking at a running fleet: status, logs and top."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from tests.harness.fleet import RunningFleet
from tests.harness.typist import CTRL_C, typing


def test_status_shows_what_the_bus_hears(fleet: RunningFleet) -> None:
    """Every process with its state; agents and the server with whether they answer."""
    rows = fleet.processes()
    heard = {name: row["bus"] for name, row in rows.items() if row["bus"]}
    assert set(heard.values()) == {"answers"}
    assert set(heard) == {
        "nats-server",
        *(f"agent-{agent}" for agent in ("greeter", "textstats", "concierge", "directory")),
    }
    assert rows["agent-greeter"]["unit"] == "agent@greeter.service"
    assert {row["state"] for row in rows.values()} == {"ready"}


def test_logs_are_those_of_the_process(fleet: RunningFleet) -> None:
    """By an agent's name, with the command that shows them."""
    done = fleet.run("logs", "textstats", "-n", "500")
    assert "process.ready" in done.stdout
    assert done.stderr.startswith("$ tail -n 500 ")
    assert "agent-textstats.log" in done.stderr
    assert "there is no process nobody" in fleet.run("logs", "nobody", check=False).stderr


def test_top_counts_what_happens(fleet: RunningFleet) -> None:
    """For machines: each process with its memory and its rates."""
    told = json.loads(fleet.run("top", "--count", "1", "--interval", "0.2", "--json").stdout)
    rows = {row["name"]: row for row in told["rows"]}
    assert set(rows) == set(fleet.processes()) - {"nats-server"}
    assert {row["word"] for row in rows.values()} == {"ready"}
    assert all(10 < row["memory_mib"] < 500 for row in rows.values())


@pytest.mark.parametrize("key", ["q", CTRL_C], ids=["q", "Ctrl-C"])
async def test_top_gives_the_terminal_back(fleet: RunningFleet, key: str) -> None:
    """It draws on the other screen, again and again, and leaves with the cursor where it was."""
    async with typing("top", "--interval", "0.2", "--home", fleet.home.root) as typist:
        await typist.sees("9 of 9 ready")
        await typist.sees("agent-greeter")
        await typist.sees("9 of 9 ready")
        typist.types(key)
        assert await typist.code() == 0
    assert typist.seen.endswith("\x1b[?25h\x1b[?1049l")


def test_nothing_runs(fleet: RunningFleet, tmp_path: Path) -> None:
    """It says so, with the code of what is stopped."""
    for command in ("status", "top"):
        done = fleet.run(command, "--home", str(tmp_path), "--json", check=False)
        assert done.returncode == 3, done.stderr
        assert json.loads(done.stdout) == {"running": False}


def test_a_report_has_no_key(fleet: RunningFleet, tmp_path: Path) -> None:
    """Everything that helps is in it, and none of the fleet's keys, however they are written."""
    file = tmp_path / "report.tar.gz"
    fleet.run("bugreport", str(file))
    with tarfile.open(file) as tar:
        texts = {member.name: (tar.extractfile(member) or io.BytesIO()).read().decode() for member in tar}
    assert {
        "agentbus-report/doctor.json",
        "agentbus-report/fleet.yaml",
        "agentbus-report/logs/agent-greeter.log",
    } <= set(texts)
    keys = [path.read_text().strip() for path in fleet.home.credentials("").rglob("*") if path.is_file()]
    assert keys
    assert not [key for key in keys if any(key in text for text in texts.values())]
    assert "serving greeter" in texts["agentbus-report/status.json"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert fleet.run("bugreport", str(file), check=False).returncode == 78
