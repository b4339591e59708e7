"""`agentbus audit verify` as an auditor runs it: interrupted and gone on with, from a kept checkpoint, with a bar."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bus.audit.seal.sealed_log import NODES
from bus.audit.seal.sealer import CHECKPOINT, LOG
from bus.surroundings import Home
from schemas import names
from tests.harness.command import agentbus
from tests.harness.fleet import Bench, bench
from tests.harness.sealing import sealing
from tests.tamper.store import Attacker

MANY, BATCH = 20_000, 25
"""A message each: so many take longer to verify than a bar takes to come, and are read in many goes."""
BAR = re.compile(rb"\[#*\.*\] (\d+) of (\d+), \d+/s, \d+ s left")


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Bench]:
    """A fleet's server."""
    (tmp_path / "fleet").mkdir()
    async with bench(tmp_path / "fleet") as running:
        yield running


def command(home: Home, *more: str | Path) -> list[str]:
    return [sys.executable, "-m", "agents.cli", "audit", "verify", "--home", str(home.root), *map(str, more)]


async def verified(home: Home, *more: str | Path, env: Mapping[str, str] | None = None) -> tuple[dict[str, Any], str]:
    """The report, and what was said besides."""
    done = await asyncio.to_thread(agentbus, "audit", "verify", "--home", home.root, "--json", *more, env=env)
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == {"sound": 0, "tampered": 1, "cannot tell": 2}[report["verdict"]]
    return report, done.stderr


async def write(live: Bench, events: int) -> None:
    audit = await live.audit("greeter")
    for number in range(events):
        audit.emit("request.received", action="SendMessage", size=number)
        if number % BATCH == BATCH - 1:
            await audit.confirm(30)
    await audit.confirm(30)
    await audit.close()


def interrupted(home: Home, state: Path) -> tuple[int, bytes]:
    """Run it on a terminal, and press Ctrl-C when its bar is there; returns its exit code and what the terminal showed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(command(home, "--state", state), stderr=follower, stdout=subprocess.DEVNULL)
    os.close(follower)
    shown = b""
    try:
        while not BAR.search(shown):
            shown += os.read(leader, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # how a terminal says that nobody has it open any more
            while True:
                shown += os.read(leader, 4096)
        return process.wait(30), shown
    finally:
        process.kill()
        process.wait()
        os.close(leader)


@pytest.mark.timeout(120)
async def test_an_interrupted_run_is_gone_on_with(live: Bench, tmp_path: Path) -> None:
    """Ctrl-C says where it was; the next run goes on there and finds the whole trail sound; the one after begins anew."""
    await write(live, MANY)
    state = tmp_path / "state"
    code, shown = await asyncio.to_thread(interrupted, live.home, state)
    said = re.search(rb"interrupted after stream sequence (\d+); the next run goes on there", shown)
    assert said, shown
    assert code == 130
    report, told = await verified(live.home, "--state", state)
    assert (report["verdict"], report["events"], report["began_after"]) == ("sound", MANY, int(said[1]))
    assert f"going on after stream sequence {int(said[1])}" in told
    assert "until it was interrupted" in report["rests_on"]
    assert list(state.iterdir()) == []
    report, told = await verified(live.home, "--state", state)
    assert (report["verdict"], report["events"], report["began_after"], told) == ("sound", MANY, 0, "")


@pytest.mark.timeout(120)
async def test_what_was_interrupted_is_not_of_another_stream(live: Bench, tmp_path: Path) -> None:
    """A stream that was made anew is begun anew, and what is wrong with it is found; `--from-start` forgets too."""
    await write(live, MANY)
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "xdg")}
    state = tmp_path / "xdg" / "agentbus"
    code, _ = await asyncio.to_thread(interrupted, live.home, state)
    assert (code, len(list(state.iterdir()))) == (130, 1)
    report, told = await verified(live.home, "--from-start", env=env)
    assert (report["verdict"], report["began_after"], told) == ("sound", 0, "")
    await asyncio.to_thread(interrupted, live.home, state)
    await (await Attacker.of(live)).rebuild([])
    report, told = await verified(live.home, env=env)
    assert (report["verdict"], report["began_after"]) == ("tampered", 0)
    assert "is of another stream, or of other keys: beginning anew" in told


async def test_from_a_kept_checkpoint(live: Bench, tmp_path: Path) -> None:
    """With the sealer's hashes what is before is not read; without them it is; a stream that lost it is found either way."""
    kept = tmp_path / "kept"
    async with sealing(live) as running:
        await write(live, 20)
        size = int((await running.until_sealed(20)).payload.split(b"\n")[1])
        shutil.copy(running.folder / CHECKPOINT, kept)
        await write(live, 3)
        await running.until_sealed(size + 4)
    report, _ = await verified(live.home, "--from", kept)
    assert (report["verdict"], report["events"], report["began_after"]) == ("sound", 3, size)
    assert report["rests_on"].endswith("; not read")
    shutil.rmtree(live.home.state(names.SEALER) / LOG / NODES)
    report, _ = await verified(live.home, "--from", kept)
    assert (report["verdict"], report["events"], report["began_after"]) == ("sound", 3, size)
    assert report["rests_on"].endswith("; read, and the same bytes")
    for path in live.home.root.glob("state/*/checkpoint"):
        path.unlink()
    await (await Attacker.of(live)).rebuild([])
    report, _ = await verified(live.home, "--from", kept)
    assert (report["verdict"], report["findings"][0]["sequence"]) == ("tampered", 1)
    kept.write_bytes(b"junk")
    report, _ = await verified(live.home, "--from", kept)
    assert (report["verdict"], "is not a checkpoint" in report["reason"]) == ("cannot tell", True)
