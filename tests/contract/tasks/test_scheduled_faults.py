"""Tasks that are put off, when much or little goes on: nothing is lost, done twice, or in the way of others."""

from __future__ import annotations

import asyncio
import datetime

import pytest

from agents.runtime.tasks.durable import MAX_DELIVERIES
from bus.inbound import read_task
from bus.jetstream import call, delivery_of
from bus.requests.flow import Bounds
from bus.tasks.dead_letters import GivenUp
from schemas import a2a, names
from tests.contract.agents.skills import Counting, Gate
from tests.contract.tasks.scheduling import NEVER_S, WAITS_S, letters, pull_one, pull_some, said, soon
from tests.harness.admin import administrator, consumer_state
from tests.harness.agent import caller, reaches, saying, serving, trail
from tests.harness.fleet import Bench, until


async def _is_past(moment: datetime.datetime) -> bool:
    return datetime.datetime.now(datetime.UTC) > moment


@pytest.mark.timeout(120)
async def test_tasks_that_wait_do_not_block_others(fleet_bench: Bench) -> None:
    """More tasks are put off than the server lets go unacknowledged: an agent still does what is due at once.

    An administrator lets fewer go than provisioning does, so that a few are more.
    """
    ops, counting, limit = await caller(fleet_bench), Counting(), 60
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    config = (await consumer_state(admin, names.TASKS, "textstats"))["config"] | {"max_ack_pending": limit}
    await call(
        admin, f"CONSUMER.DURABLE.CREATE.{names.TASKS}.textstats", {"stream_name": names.TASKS, "config": config}
    )
    await asyncio.gather(
        *(ops.leave_task("textstats", saying("waits"), not_before=soon(NEVER_S)) for _ in range(2 * limit))
    )
    task = await ops.leave_task("textstats", saying("due"))
    async with serving(fleet_bench, "textstats", counting.skill):
        await reaches(ops, task, a2a.COMPLETED, timeout_s=60)

        async def all_are_acknowledged() -> bool:
            state = await consumer_state(admin, names.TASKS, "textstats")
            return bool(state["num_pending"] == state["num_ack_pending"] == 0)

        await until(all_are_acknowledged, timeout_s=60)
        listed = await ops.list_tasks("textstats", a2a.ListTasksRequest(status=a2a.SUBMITTED))
    assert listed.total_size > limit
    assert counting.runs == {"due": 1}


@pytest.mark.timeout(90)
async def test_it_survives_its_worker_and_the_server_and_is_done_once(fleet_bench: Bench) -> None:
    """Tasks that were put off by an instance that is gone, on a server that was killed, are done once, by any instance."""
    counting = Counting()
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", counting.skill):
        due = soon(2 * WAITS_S)
        tasks = [await ops.leave_task("textstats", saying(str(n)), not_before=due) for n in range(20)]
        for task in tasks:
            await reaches(ops, task, a2a.SUBMITTED)
    fleet_bench.server.process.kill()
    await fleet_bench.server.process.wait()
    await fleet_bench.server.start()
    async with (
        serving(fleet_bench, "textstats", counting.skill) as first,
        serving(fleet_bench, "textstats", counting.skill, slot="1") as second,
    ):
        again = await caller(fleet_bench)
        for task in tasks:
            await reaches(again, task, a2a.COMPLETED, timeout_s=40)
        scheduled = await trail(fleet_bench, first, second, kind="task.scheduled")
    assert counting.runs == {str(n): 1 for n in range(20)}
    assert len(scheduled) == 20


@pytest.mark.timeout(90)
async def test_a_due_task_is_finished_when_its_worker_dies(fleet_bench: Bench) -> None:
    """A task that is due is delivered again as any other: another instance finishes what a dead one began."""
    gate, counting, ops = Gate(), Counting(), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", gate.skill) as first:
        task = await ops.leave_task("textstats", saying("inherited"), not_before=soon(1))
        await gate.has_entered()
        await first.die()
        async with serving(fleet_bench, "textstats", counting.skill, slot="1") as second:
            await reaches(ops, task, a2a.COMPLETED, timeout_s=30)
            assert len(await trail(fleet_bench, second, kind="task.redelivered")) == 1
    assert counting.runs == {"inherited": 1}


async def test_deliveries_before_it_is_due_are_no_failed_attempts(fleet_bench: Bench) -> None:
    """However often a task comes before its time, it is not given up, and it is put off once."""
    ops, counting = await caller(fleet_bench), Counting()
    async with serving(fleet_bench, "textstats", counting.skill, takes_tasks=False) as agent:
        task = await ops.leave_task("textstats", saying("patient"), not_before=soon(WAITS_S))
        message = await pull_one(agent)
        for delivered in range(1, MAX_DELIVERIES + 3):
            await agent.operations.run_task(read_task(message), delivery_of(message).stream_sequence, delivered)
        assert (await ops.get_task("textstats", task)).status.state == a2a.SUBMITTED
        await agent.bus.publish(message.reply, b"+ACK")
        agent.worker.start()
        await reaches(ops, task, a2a.COMPLETED)
        assert len(await trail(fleet_bench, agent, kind="task.scheduled")) == 1
    assert counting.runs == {"patient": 1}


async def test_a_worker_that_dies_while_it_puts_a_task_off_loses_and_doubles_nothing(fleet_bench: Bench) -> None:
    """Whether a worker ends between keeping a task and saying so, or before the acknowledgement: it is done once."""
    ops, counting = await caller(fleet_bench), Counting()
    async with serving(fleet_bench, "textstats", counting.skill, takes_tasks=False) as agent:
        due = soon(WAITS_S)
        tasks = [await ops.leave_task("textstats", saying(text), not_before=due) for text in ("kept", "told")]
        kept, told = [read_task(message) for message in await pull_some(agent, 2)]
        await agent.later.keep(kept, tasks[0])
        await agent.operations.run_task(told, 2, 1)
        await until(lambda: _is_past(due), timeout_s=30)
        agent.worker.start()  # the server gives both again, for it has waited long enough for a word
        for task in tasks:
            await reaches(ops, task, a2a.COMPLETED)

        async def has_come_again() -> bool:
            return len(await trail(fleet_bench, agent, kind="task.redelivered")) >= 2

        await until(has_come_again, timeout_s=30, every_s=0.2)
        assert len(await trail(fleet_bench, agent, kind="task.scheduled")) == 1
    assert counting.runs == {"kept": 1, "told": 1}


async def test_due_tasks_and_others_share_the_agents_limit(fleet_bench: Bench) -> None:
    """An instance with room for one task runs one at a time, whichever stream they come from."""
    gate, ops = Gate(), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", gate.skill, bounds=Bounds(max_concurrent=1)):
        due = soon(WAITS_S)
        later = [await ops.leave_task("textstats", saying("due"), not_before=due) for _ in range(2)]
        for task in later:
            await reaches(ops, task, a2a.SUBMITTED)
        now = await ops.leave_task("textstats", saying("now"))
        await gate.has_entered()
        assert gate.entered == ["now"]
        admin = await administrator(fleet_bench, names.own_account("textstats"))

        async def is_due() -> bool:
            state = await consumer_state(admin, names.TASK_LATER, names.DUE)
            return bool(state["num_pending"] + state["num_ack_pending"] == 2)

        await until(is_due, timeout_s=30)
        assert gate.entered == ["now"]
        gate.opened.set()
        for task in (now, *later):
            await reaches(ops, task, a2a.COMPLETED)
    assert sorted(gate.left) == ["due", "due", "now"]


async def test_a_poisonous_task_is_given_up_after_it_is_due(fleet_bench: Bench) -> None:
    """A due task that ended ten workers is FAILED as any other, and its dead letter is its message."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", Counting().skill, takes_tasks=False) as agent:
        task = await ops.leave_task("textstats", saying("poison"), not_before=soon(WAITS_S))
        message = await pull_one(agent)
        await agent.operations.run_task(read_task(message), delivery_of(message).stream_sequence, 1)
        await agent.bus.publish(message.reply, b"+ACK")
        (taken,) = await until(lambda: agent.later.pull(1, wait_s=1), timeout_s=30)
        with pytest.raises(GivenUp):
            await agent.operations.run_task(taken.read(), taken.delivery.stream_sequence, MAX_DELIVERIES + 1)
        assert (await ops.get_task("textstats", task)).status.state == a2a.FAILED
        await agent.own.publish(taken.message.reply, b"-NAK")
        agent.worker.start()
        (dead,) = await letters(await fleet_bench.connect("ops"))
    assert (dead.letter.task, dead.payload) == (task, message.data)
    assert set(dead.letter.headers) >= {"A2A-Version", "Agentbus-Not-Before"}
    assert not any(name.startswith("Nats-") for name in dead.letter.headers)


async def test_one_caller_may_have_so_many_waiting(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a caller's tasks are REJECTED and kept as dead letters; another caller's are taken."""
    monkeypatch.setattr("bus.tasks.later.MOST_OF_A_CALLER", 2)
    ops, other = await caller(fleet_bench), await caller(fleet_bench, "concierge")
    async with serving(fleet_bench, "textstats", Counting().skill):
        for _ in range(2):
            task = await ops.leave_task("textstats", saying("waits"), not_before=soon(NEVER_S))
            await reaches(ops, task, a2a.SUBMITTED)
        refused = await ops.leave_task("textstats", saying("too many"), not_before=soon(NEVER_S))
        assert "has 2 tasks at textstats" in said(await reaches(ops, refused, a2a.REJECTED))
        theirs = await other.leave_task("textstats", saying("waits"), not_before=soon(NEVER_S))
        await reaches(other, theirs, a2a.SUBMITTED)
        (dead,) = await letters(await fleet_bench.connect("ops"))
    assert dead.letter.task == refused


async def test_an_agent_keeps_what_it_has_room_for(fleet_bench: Bench) -> None:
    """Tasks that would take more than the agent's room for waiting ones, all at once too, are REJECTED; a due one is not."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", Counting().skill) as agent:
        agent.later._room_bytes = 5_000
        left = [ops.leave_task("textstats", saying("x" * 2_000), not_before=soon(NEVER_S)) for _ in range(6)]
        found = [await reaches(ops, task, a2a.SUBMITTED, a2a.REJECTED) for task in await asyncio.gather(*left)]
        refused = [task for task in found if task.status.state == a2a.REJECTED]
        assert len(refused) == 4
        assert {"no more room" in said(task) for task in refused} == {True}
        done = await ops.leave_task("textstats", saying("x" * 2_000))
        await reaches(ops, done, a2a.COMPLETED)
