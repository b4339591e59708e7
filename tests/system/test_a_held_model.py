"""A fleet whose greeter asks a model that a test holds up: what is at work when something happens to its process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import pytest
import pytest_asyncio

from schemas import a2a, protojson
from tests.harness.fake_llm import CallTool, FakeLlm, Gate, Held, Say
from tests.harness.fleet import CHECKOUT, RunningFleet, running_fleet, until
from tests.system.model import with_model

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[FakeLlm]:
    """What the greeter asks, in the loop of all tests here."""
    async with FakeLlm(api_key="fake-key") as running:
        yield running


@pytest.fixture(scope="module")
def fleet(model: FakeLlm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """The example fleet with that model."""
    with running_fleet(tmp_path_factory.mktemp("fleet"), prepare=lambda source: with_model(model, source)) as running:
        yield running


@pytest.fixture
def llm(model: FakeLlm) -> FakeLlm:
    """The model, which nobody has asked yet."""
    model.script.clear()
    model.requests.clear()
    return model


async def _events(fleet: RunningFleet, kind: str, of: str) -> list[dict[str, Any]]:
    """The events of a type that name `of` as their task or their writer."""
    found = await asyncio.to_thread(fleet.events, kind)
    return [event for event in found if event["source"].endswith(f":{of}") or of in event["data"].get("resource", "")]


async def test_sigterm_finishes_what_was_accepted(fleet: RunningFleet, llm: FakeLlm) -> None:
    """SIGTERM in the middle of a request: the caller gets the answer, the process ends with 0, new requests are not taken."""
    gate = Gate()
    llm.script.append(Held(Say("finished in time"), gate))
    asking = asyncio.create_task(asyncio.to_thread(fleet.run, "ask", "greeter", "hello"))
    await asyncio.wait_for(gate.reached.wait(), 20)
    stopping = asyncio.create_task(asyncio.to_thread(fleet.run, "agent", "stop", "greeter"))

    async def is_refusing() -> bool:
        other = await asyncio.to_thread(fleet.run, "ask", "greeter", "second", check=False)
        return other.returncode == 69

    await until(is_refusing)
    assert not asking.done()
    gate.release.set()
    assert (await asking).stdout.strip() == "finished in time"
    assert (await stopping).stdout.strip() == "greeter is stopped"
    stopped = await _events(fleet, "process.stopped", of="greeter")
    assert {event["data"]["outcome"] for event in stopped} == {"success"}
    await asyncio.to_thread(fleet.run, "agent", "start", "greeter")


async def test_a_task_survives_kill_9_of_its_worker(fleet: RunningFleet, llm: FakeLlm) -> None:
    """kill -9 of the greeter in the middle of a task: it is started again and goes on where it was; the task ends once."""
    gate = Gate()
    llm.script.extend([CallTool("no_such_tool", {}), Held(Say("never heard"), gate), Say("at last")])
    task = (await asyncio.to_thread(fleet.run, "tasks", "add", "greeter", "hello")).stdout.strip()
    await asyncio.wait_for(gate.reached.wait(), 20)
    victim = fleet.processes()["agent-greeter"]
    os.kill(victim["pid"], signal.SIGKILL)

    async def is_completed() -> bool:
        shown = await asyncio.to_thread(fleet.run, "tasks", "show", "greeter", task, check=False)
        return "completed" in shown.stdout and "at last" in shown.stdout

    await until(is_completed, timeout_s=45, every_s=0.3)
    row = (await asyncio.to_thread(fleet.processes))["agent-greeter"]
    assert row["restarts"] == victim["restarts"] + 1
    assert row["pid"] != victim["pid"]

    async def is_told() -> bool:
        return "completed" in [event["data"]["action"] for event in await _events(fleet, "task.changed", of=task)]

    await until(is_told)
    kinds = [event["data"]["action"] for event in await _events(fleet, "task.changed", of=task)]
    assert kinds.count("completed") == 1
    assert await _events(fleet, "task.redelivered", of="greeter")
    assert (await asyncio.to_thread(fleet.run, "audit", "verify")).stdout.startswith("sound")
    roles = [[turn["role"] for turn in request.body["messages"]] for request in llm.requests]
    assert roles == [["system", "user"], *[["system", "user", "assistant", "tool"]] * 2]


async def test_a_working_task_is_followed_and_canceled(fleet: RunningFleet, llm: FakeLlm) -> None:
    """`watch` tells what happens as it happens, in harmless text; `cancel` stops a working task, and watch ends with 1."""
    gate, other = Gate(), Gate()
    llm.script.extend([Held(Say("clear \x1b[2J\u202e screen"), gate), Held(Say("never said"), other)])
    first = (await asyncio.to_thread(fleet.run, "tasks", "add", "greeter", "one")).stdout.strip()
    async with Watching(fleet, first) as watch:
        assert "working" in await watch.line()
        late = await asyncio.to_thread(fleet.run, "tasks", "watch", "greeter", first, "--timeout", "0.5", check=False)
        assert late.returncode == 75
        assert "still goes on" in late.stderr
        gate.release.set()
        rest, code = await watch.end()
    assert code == 0
    assert "completed" in rest
    assert "clear \\x1b[2J\\u202e screen" in rest
    assert "\x1b" not in rest

    second = (await asyncio.to_thread(fleet.run, "tasks", "add", "greeter", "two")).stdout.strip()
    async with Watching(fleet, second, "--json") as watch:
        await asyncio.wait_for(other.reached.wait(), 20)
        begun = protojson.decode((await watch.line()).encode(), a2a.StreamResponse)
        assert begun.task is not None
        canceled = await asyncio.to_thread(fleet.run, "tasks", "cancel", "greeter", second)
        assert canceled.stdout.startswith(f"{second} canceled since ")
        rest, code = await watch.end()
    states = [protojson.decode(line.encode(), a2a.StreamResponse) for line in rest.splitlines()]
    assert states[-1].status_update is not None
    assert states[-1].status_update.status.state == a2a.CANCELED
    assert code == 1

    await asyncio.to_thread(fleet.run, "agent", "stop", "greeter")
    partly = await asyncio.to_thread(fleet.run, "tasks", "list", "--json", check=False)
    assert partly.returncode == 69
    assert list(json.loads(partly.stdout)["unavailable"]) == ["greeter"]
    await asyncio.to_thread(fleet.run, "agent", "start", "greeter")


class Watching:
    """`agentbus tasks watch greeter …`, while it runs."""

    def __init__(self, fleet: RunningFleet, task: str, *arguments: str) -> None:
        self._fleet = fleet
        self._arguments = ("tasks", "watch", "greeter", task, *arguments)

    async def __aenter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "AGENTBUS_HOME": str(self._fleet.home.root)}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agents.cli", *self._arguments, stdout=subprocess.PIPE, env=environment
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def line(self) -> str:
        """The next line it prints."""
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), 20)).decode()

    async def end(self) -> tuple[str, int]:
        """What else it prints, and its exit code."""
        printed, _ = await asyncio.wait_for(self._process.communicate(), 20)
        return printed.decode(), self._process.returncode or 0
