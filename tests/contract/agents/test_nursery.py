"""Processes that a fleet's supervisor forks from one that has imported everything: they are what they would be alone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.supervisor.child import CONFIGURATION_ERROR, Child, Command
from agents.supervisor.fleet_processes import commands, surroundings_of_all
from agents.supervisor.nursery import Nursery
from tests.harness.fleet import Bench, until

_KEY = "k-of-one-agent-alone"


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    """One that is closed at the end."""
    made = Nursery(surroundings_of_all())
    yield made
    await made.close()


def _commands(bench: Bench, *names: str) -> list[Command]:
    stages = commands(bench.fleet, bench.home, bench.url)
    return [command for name in names for stage in stages for command in stage if command.name == name]


def _children(bench: Bench, nursery: Nursery) -> list[Child]:
    """Two agents; the first is given a key."""
    first, second = _commands(bench, "agent-greeter", "agent-textstats")
    keyed = replace(first, environment={**first.environment, "SOME_API_KEY": _KEY})
    return [Child(command, lambda _: None, nursery.begin) for command in (keyed, second)]


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a process, from its state on; that is Z when nobody has asked for its end yet."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and _stat(pid)[0] != "Z"


def _memory(pid: int) -> bytes:
    """All that a process may write to, as it stands."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                begin, end = (int(part, 16) for part in place.split("-"))
                memory.seek(begin)
                found.append(memory.read(end - begin))
    return b"".join(found)


async def test_a_process_has_its_own_key_and_nobody_elses(fleet_bench: Bench, nursery: Nursery) -> None:
    """A key is in the memory of the agent that it is for, not of one born later, nor of the process that forks."""
    first, second = _children(fleet_bench, nursery)
    try:
        await first.start()
        await second.start()
        assert _KEY.encode() in _memory(first.pid)
        assert _KEY.encode() not in _memory(second.pid)
        parent = int(_stat(second.pid)[1])
        assert parent != os.getpid()
        assert _KEY.encode() not in _memory(parent)
        assert Path(f"/proc/{second.pid}/comm").read_text().strip() == second.command.name[:15]
        assert os.getsid(second.pid) == second.pid
        opened = {str(link.readlink()) for link in Path(f"/proc/{second.pid}/fd").iterdir()}
        assert str(first.command.log) not in opened
        assert str(second.command.log) in opened
    finally:
        await asyncio.gather(first.stop(), second.stop())
    assert "process.ready" in second.command.log.read_text()


async def test_an_end_is_told_and_a_successor_is_born(fleet_bench: Bench, nursery: Nursery) -> None:
    """The code of an end in order, of a configuration error, and of a kill; who was killed is started again."""
    child, other = _children(fleet_bench, nursery)
    await child.start()
    before = child.pid
    os.kill(before, signal.SIGKILL)

    async def is_back() -> bool:
        return child.state == "ready" and child.restarts == 1

    await until(is_back)
    assert child.pid != before
    await child.stop()
    with other.command.log.open("ab") as log:
        ended = await nursery.begin(other.command, {}, log)
        assert await ended.wait() == CONFIGURATION_ERROR
        assert "AGENTBUS_CREDENTIALS is not set" in other.last_words()
        ended = await nursery.begin(replace(other.command, arguments=("--version",)), {}, log)
        assert await ended.wait() == 0


async def test_without_the_process_that_forks_all_are_started_again(fleet_bench: Bench, nursery: Nursery) -> None:
    """It is killed: its children end at once, and so nobody runs twice; then they run as children of another."""
    children = _children(fleet_bench, nursery)
    await asyncio.gather(*(child.start() for child in children))
    before = [child.pid for child in children]
    parent = nursery._parent
    assert parent
    parent.kill()

    async def are_back() -> bool:
        return all(child.state == "ready" and child.restarts == 1 for child in children)

    await until(are_back)
    assert not {child.pid for child in children} & set(before)
    assert not any(_runs(pid) for pid in before)
    await asyncio.gather(*(child.stop() for child in children))


async def test_whoever_is_not_wanted_any_more_is_not_born(fleet_bench: Bench, nursery: Nursery) -> None:
    """A start that is called off leaves no process, and the next one is not taken for it."""
    child, _ = _children(fleet_bench, nursery)
    child.command.log.parent.mkdir(exist_ok=True)
    with child.command.log.open("ab") as log:
        called_off = asyncio.ensure_future(nursery.begin(child.command, child.command.environment, log))
        await nursery.open()
        called_off.cancel()
        await asyncio.gather(called_off, return_exceptions=True)
    await child.start()

    async def is_alone() -> bool:
        return list(nursery._alive) == [child.pid]

    await until(is_alone)
    await child.stop()
