"""The server goes away in the middle and comes back: what was acknowledged is done, and the trail is whole."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from bus.audit.read import Reader
from bus.audit.trust import load_trust
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from bus.provision.streams import TASK_ACK_WAIT_S
from bus.requests.caller import Caller
from schemas import a2a, names
from schemas.errors import DeadlineExceeded, TaskNotFound, Unavailable, UnknownOutcome
from tests.contract.agents.skills import Counting, Gate, echo
from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fleet import Bench, until

pytestmark = pytest.mark.timeout(120)

AWAY = (Unavailable, DeadlineExceeded, UnknownOutcome)
"""What a caller sees while the server is away."""


async def _stop(bench: Bench) -> None:
    await bench.server.stop()


async def _kill(bench: Bench) -> None:
    bench.server.process.kill()
    await bench.server.process.wait()


@dataclass(eq=False)
class Load:
    """A caller that asks and leaves tasks, one after the other, for ever. A task without an answer is left again."""

    calls: Caller
    tasks: dict[str, str] = field(default_factory=dict)
    """Text to the id that the stream acknowledged."""
    answers: int = 0

    async def leave_tasks(self) -> None:
        number = 0
        while True:
            text = f"task {number}"
            try:
                self.tasks[text] = await self.calls.leave_task("textstats", saying(text), key=text)
            except AWAY:
                await asyncio.sleep(0.02)
                continue
            number += 1

    async def ask(self) -> None:
        while True:
            with suppress(*AWAY):
                answer = await self.calls.send_message("textstats", saying("request"), timeout_s=1)
                assert answer.message is not None
                assert answer.message.text() == "request done"
                self.answers += 1
            await asyncio.sleep(0.005)

    async def progress(self, count: int = 20) -> None:
        """Return when so many more tasks were acknowledged and requests answered."""
        tasks, answers = len(self.tasks) + count, self.answers + count

        async def is_there() -> bool:
            return len(self.tasks) >= tasks and self.answers >= answers

        await until(is_there, timeout_s=40)


async def _ended(ops: Caller, task: str) -> a2a.Task:
    async def look() -> a2a.Task | None:
        with suppress(TaskNotFound, *AWAY):
            found = await ops.get_task("textstats", task, timeout_s=2)
            return found if found.is_final else None
        return None

    found = await until(look, timeout_s=40)
    assert found is not None
    return found


async def _verified(bench: Bench) -> Report:
    auditor = await bench.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor"))
    heads = find_heads(bench.home.root / "state")
    return await verify_stream(Reader(auditor), load_trust(bench.home.trust), heads)


@pytest.mark.parametrize("end", [_stop, _kill], ids=["stopped", "killed"])
async def test_work_goes_on_over_restarts_of_the_server(
    fleet_bench: Bench, end: Callable[[Bench], Awaitable[None]]
) -> None:
    """Each acknowledged task completes, and enters its terminal state once; requests are answered again; the
    audit trail verifies."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill) as agent:
        load = Load(await caller(fleet_bench))
        running = [asyncio.create_task(load.leave_tasks()), asyncio.create_task(load.ask())]
        for _ in range(2):
            await load.progress()
            await end(fleet_bench)
            await fleet_bench.server.start()
        await load.progress()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert all(task.cancelled() for task in running)
        states = {text: (await _ended(load.calls, task)).status.state for text, task in load.tasks.items()}
        assert set(states.values()) == {a2a.COMPLETED}
        assert len(set(load.tasks.values())) == len(load.tasks) >= 60
        assert set(load.tasks) <= set(counting.runs)

        async def told() -> Counter[str]:
            """The ends on the trail, when all are there: an agent whose acknowledgement was lost knows of its own late."""
            changes = await trail(fleet_bench, agent, kind="task.changed")
            ends = Counter(event.data.resource for event in changes if event.data.action == "completed")
            return ends if {f"textstats/{task}" for task in load.tasks.values()} <= ends.keys() else Counter()

        ends = await until(told, timeout_s=20, every_s=0.5)
    assert set(ends.values()) == {1}
    report = await _verified(fleet_bench)
    assert (report.verdict, report.findings) == ("sound", ())
    assert fleet_bench.violations == []


async def test_a_task_that_runs_while_the_server_restarts_is_finished_once(fleet_bench: Bench) -> None:
    """A long task is not lost and not run twice because the server was away for longer than it waits for a word."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        ops = await caller(fleet_bench)
        task = await ops.leave_task("textstats", saying("long"))
        await gate.has_entered()
        await fleet_bench.server.stop()
        await asyncio.sleep(
            TASK_ACK_WAIT_S + 1
        )  # longer than the server waits for a word of the worker: the point of this test
        await fleet_bench.server.start()

        async def is_back() -> bool:
            with suppress(*AWAY):
                return (await ops.get_task("textstats", task, timeout_s=1)).status.state == a2a.WORKING
            return False

        await until(is_back, timeout_s=20)
        asked = asyncio.create_task(ops.leave_task("textstats", saying("next")))
        await gate.has_entered(2)  # the worker pulls again, so a second delivery would have come as well
        gate.opened.set()
        assert (await _ended(ops, task)).status.state == a2a.COMPLETED
        assert (await _ended(ops, await asked)).status.state == a2a.COMPLETED
        changes = await trail(fleet_bench, agent, kind="task.changed")
    assert Counter(gate.entered) == {"long": 1, "next": 1}
    states = [event.data.action for event in changes if event.data.resource == f"textstats/{task}"]
    assert states == ["working", "completed"]


async def test_an_agent_that_starts_before_the_server_serves_when_it_is_there(fleet_bench: Bench) -> None:
    """The order of starting does not matter: an agent's connection waits for the server."""
    await fleet_bench.server.stop()
    connecting = asyncio.create_task(fleet_bench.connect("textstats"))
    await asyncio.sleep(0)
    await fleet_bench.server.start()
    assert (await connecting).is_connected
    async with serving(fleet_bench, "textstats", echo):
        answer = await (await caller(fleet_bench)).send_message("textstats", saying("here"))
        assert answer.message is not None
        assert answer.message.text() == "here"


async def test_what_is_asked_while_the_server_is_away_fails_at_once(fleet_bench: Bench) -> None:
    """A request or a task during an outage is Unavailable, not accepted and lost."""
    ops = await caller(fleet_bench)
    await fleet_bench.server.stop()

    async def has_noticed() -> bool:
        with suppress(DeadlineExceeded):
            try:
                await ops.send_message("textstats", saying("a"), timeout_s=0.2)
            except Unavailable:
                return True
        return False

    await until(has_noticed)
    with pytest.raises(Unavailable):
        await ops.leave_task("textstats", saying("a"))
