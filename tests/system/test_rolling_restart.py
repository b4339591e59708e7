"""An upgrade without a pause: two instances of an agent under load, each ended by SIGTERM and replaced in turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from bus.requests.breaker import BreakerRules
from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import TaskNotFound
from tests.chaos.stage import AGENT, stage
from tests.harness.agent import caller, saying
from tests.harness.fleet import until

pytestmark = pytest.mark.timeout(120)

_ROUNDS = 2
"""How often each instance is replaced."""
_WORK_MS = 40
"""Long enough that a SIGTERM hits requests of every kind in the middle."""


class Load:
    """Three kinds of callers without a pause. An error of any of them ends the test: nothing may fail."""

    def __init__(self, calls: Caller) -> None:
        self.promised: list[str] = []
        """What each accepted piece of work leaves as its effect."""
        self.tasks: list[str] = []
        self.counts: Counter[str] = Counter()
        self._calls = calls
        self._is_over = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        kinds = (*[self._ask] * 6, *[self._follow] * 12, *[self._leave] * 3)
        async with asyncio.TaskGroup() as group:
            for number, one in enumerate(kinds):
                group.create_task(self._again(one, f"{one.__name__.strip('_')}{number}"))

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_over.set()

    async def progress(self) -> None:
        """Return when each kind has come further."""
        before = self.counts.copy()

        async def came_further() -> bool:
            return all(self.counts[kind] >= before[kind] + 3 for kind in ("ask", "follow", "leave"))

        await until(came_further, timeout_s=30)

    async def _again(self, one: Callable[[str], Awaitable[None]], name: str) -> None:
        kind = name.rstrip("0123456789")
        count = 0
        while not self._is_over.is_set():
            effect = f"{name}-{count}"
            self.promised.append(effect)
            await one(f"{effect} {_WORK_MS}")
            self.counts[kind] += 1
            count += 1

    async def _ask(self, text: str) -> None:
        answer = await self._calls.send_message(AGENT, saying(text), timeout_s=30)
        assert answer.message is not None

    async def _follow(self, text: str) -> None:
        async with aclosing(self._calls.stream(AGENT, "SendStreamingMessage", saying(text))) as stream:
            updates = [response.status_update async for response in stream]
        states = [update.status.state for update in updates if update is not None]
        assert states == [a2a.WORKING, a2a.COMPLETED]

    async def _leave(self, text: str) -> None:
        self.tasks.append(await self._calls.leave_task(AGENT, saying(text)))
        await asyncio.sleep(_WORK_MS / 1000)  # as fast as they are worked off, not faster


async def test_an_agent_is_replaced_instance_by_instance_without_a_failure(tmp_path: Path) -> None:
    """No request and no stream fails, no accepted task is lost, and every effect happens once."""
    async with stage(tmp_path) as running:
        load = Load(await caller(running.bench, breaking=BreakerRules()))
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            for worker in running.workers * _ROUNDS:
                await load.progress()
                await worker.restart()
            await load.progress()
            load.stop()
        looking = await caller(running.bench)
        ends = [await _ended(looking, task) for task in load.tasks]
        effects = Counter(line.split()[0] for line in running.effects.read_text().splitlines())
    assert {end.status.state for end in ends} == {a2a.COMPLETED}
    assert effects == Counter(load.promised)


async def _ended(calls: Caller, task: str) -> a2a.Task:
    async def ended() -> a2a.Task | None:
        try:
            found = await calls.get_task(AGENT, task)
        except TaskNotFound:
            return None
        return found if found.is_final else None

    found = await until(ended, timeout_s=30)
    assert found is not None
    return found
