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

import pytest

from tests.harness.fake_llm import CallTool, FakeLlm, Gate, Held, Say
from tests.harness.fleet import CHECKOUT, fleet_source, free_port, running_fleet, until
from tests.system.model import with_model


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


@pytest.mark.timeout(120)
async def test_a_task_survives_kill_9_of_its_worker(tmp_path: Path) -> None:
    """kill -9 of the greeter in the middle of a task: it is started again and goes on where it was; the task ends once."""
    async with FakeLlm(api_key="fake-key") as llm:
        gate = Gate()
        llm.script.extend([CallTool("no_such_tool", {}), Held(Say("never heard"), gate), Say("at last")])
        with running_fleet(tmp_path, prepare=lambda source: with_model(llm, source)) as fleet:
            task = (await asyncio.to_thread(fleet.run, "tasks", "add", "greeter", "hello")).stdout.strip()
            await asyncio.wait_for(gate.reached.wait(), 20)
            victim = fleet.processes()["agent-greeter"]["pid"]
            os.kill(victim, signal.SIGKILL)

            async def is_completed() -> bool:
                shown = await asyncio.to_thread(fleet.run, "tasks", "show", "greeter", task, check=False)
                return "completed" in shown.stdout and "at last" in shown.stdout

            await until(is_completed, timeout_s=45, every_s=0.3)
            row = (await asyncio.to_thread(fleet.processes))["agent-greeter"]
            assert row["restarts"] == 1
            assert row["pid"] != victim
            kinds = [event["data"]["action"] for event in await asyncio.to_thread(fleet.events, "task.changed")]
            assert kinds.count("completed") == 1
            assert await asyncio.to_thread(fleet.events, "task.redelivered")
            assert (await asyncio.to_thread(fleet.run, "audit", "verify")).stdout.startswith("sound")
        roles = [[turn["role"] for turn in request.body["messages"]] for request in llm.requests]
        assert roles == [["system", "user"], *[["system", "user", "assistant", "tool"]] * 2]


@pytest.mark.timeout(120)
async def test_sigterm_finishes_what_was_accepted(tmp_path: Path) -> None:
    """SIGTERM in the middle of a request: the caller gets the answer, the process ends with 0, new requests are not taken."""
    async with FakeLlm(api_key="fake-key") as llm:
        gate = Gate()
        llm.script.append(Held(Say("finished in time"), gate))
        with running_fleet(tmp_path, prepare=lambda source: with_model(llm, source)) as fleet:
            asking = asyncio.create_task(asyncio.to_thread(fleet.run, "ask", "greeter", "hello"))
            await asyncio.wait_for(gate.reached.wait(), 20)
            stopping = asyncio.create_task(asyncio.to_thread(fleet.run, "agent", "stop", "greeter"))

            async def is_refusing() -> bool:
                other = await asyncio.to_thread(fleet.run, "ask", "greeter", "second", check=False)
                return other.returncode == 69

            await until(is_refusing, timeout_s=20)
            assert not asking.done()
            gate.release.set()
            assert (await asking).stdout.strip() == "finished in time"
            assert (await stopping).stdout.strip() == "greeter is stopped"
            stopped = [
                e for e in await asyncio.to_thread(fleet.events, "process.stopped") if e["source"].endswith(":greeter")
            ]
            assert [event["data"]["outcome"] for event in stopped] == ["success"]
