"""The fleet as processes: started, looked at, killed, restarted, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.harness.fleet import CHECKOUT, fleet_source, free_port


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_foreground_up_ends_in_order_on_ctrl_c(tmp_path: Path) -> None:
    """`up` prints readable lines and what to type next; SIGINT stops everything, exit 0, nothing is left."""
    source = tmp_path / "source"
    source.mkdir()
    fleet_source(source, port=free_port())
    home = tmp_path / "home"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agents.cli", "up", "--home", str(home), "--fleet", str(source),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert process.stdout is not None
    printed: list[str] = []
    async with asyncio.timeout(40):
        while not printed or "process.started" not in printed[-1]:
            printed.append((await process.stdout.readline()).decode())
    text = "".join(printed)
    assert re.search(r"Ready in \d+\.\d s", text)
    assert "agentbus ask" in text
    answer = subprocess.run(
        [sys.executable, "-m", "agents.cli", "status", "--home", str(home), "--json"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    pids = [row["pid"] for row in json.loads(answer.stdout)["processes"]]
    process.send_signal(signal.SIGINT)
    rest, _ = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0, rest.decode()
    order = [line.split()[1] for line in rest.decode().splitlines() if line.endswith("stopped")]
    assert order[-1] == "nats-server"
    assert not any(map(_is_alive, pids))
