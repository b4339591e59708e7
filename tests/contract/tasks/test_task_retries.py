"""Durable tasks whose handler failed for a reason that may pass: tried again, ever later, and given up in the end."""

from __future__ import annotations

import pytest

from agents.runtime.tasks.durable import MAX_DELIVERIES
from agents.skill import Context, Skill, skill
from bus.inbound import read_task
from bus.jetstream import delivery_of
from bus.tasks.dead_letters import GivenUp, read_dead_letters
from schemas import a2a
from schemas.errors import A2AError, Internal, InvalidArgument, RateLimited, TaskNotFound, Unavailable
from tests.contract.tasks.scheduling import pull_one
from tests.contract.tasks.test_task_operations import answer_of, background
from tests.harness.agent import caller, reaches, saying, serving
from tests.harness.fleet import Bench, until


class Failing:
    """A skill that fails so many times, and then answers."""

    def __init__(self, error: A2AError, times: int) -> None:
        self.error = error
        self.times = times
        self.runs = 0

    @property
    def skill(self) -> Skill:
        @skill(description="Fails at first.", id="failing")
        async def failing(request: str, ctx: Context) -> str:
            self.runs += 1
            if self.runs <= self.times:
                raise self.error
            return f"{request} at last"

        return failing


async def test_a_reason_that_passes_costs_the_task_nothing(fleet_bench: Bench) -> None:
    """While another agent is away the task stays WORKING and says so; it is tried again and completes."""
    failing = Failing(Unavailable("greeter is away"), times=2)
    async with serving(fleet_bench, "textstats", failing.skill):
        ops = await caller(fleet_bench)
        task = await ops.leave_task("textstats", saying("done"))

        async def waits() -> bool:
            try:
                found = await ops.get_task("textstats", task)
            except TaskNotFound:
                return False
            said = found.status.message.text() if found.status.message else ""
            return found.status.state == a2a.WORKING and said == "it will be tried again: greeter is away"

        await until(waits)
        assert answer_of(await reaches(ops, task, a2a.COMPLETED)) == "done at last"
    assert failing.runs == 3


async def test_a_task_that_waits_for_its_next_try_can_be_canceled(fleet_bench: Bench) -> None:
    """Between two tries nobody runs it: a cancel ends it, and it is not tried again."""
    failing = Failing(RateLimited("too fast", retry_after_s="2"), times=100)
    async with serving(fleet_bench, "textstats", failing.skill):
        ops = await caller(fleet_bench)
        task = await ops.leave_task("textstats", saying("x"))
        await reaches(ops, task, a2a.WORKING)

        async def is_canceled() -> bool:
            return (await ops.cancel_task("textstats", task)).status.state == a2a.CANCELED

        await until(is_canceled)
        after = await ops.leave_task("textstats", saying("y"), within_s=1)
        await reaches(ops, after, a2a.FAILED)
        assert (await ops.get_task("textstats", task)).status.state == a2a.CANCELED
    assert failing.runs == 2  # the canceled one's next try was due before the other one's end


@pytest.mark.parametrize(
    ("error", "state"), [(InvalidArgument("bad"), a2a.REJECTED), (Internal("broken"), a2a.FAILED)], ids=["400", "500"]
)
async def test_a_fault_of_the_caller_or_of_the_code_ends_at_once(
    fleet_bench: Bench, error: A2AError, state: a2a.TaskState
) -> None:
    """What another try cannot change is not tried again."""
    failing = Failing(error, times=100)
    async with serving(fleet_bench, "textstats", failing.skill):
        ops = await caller(fleet_bench)
        await reaches(ops, await ops.leave_task("textstats", saying("x")), state)
    assert failing.runs == 1


async def test_a_task_that_nothing_gives_again_is_not_tried_again(fleet_bench: Bench) -> None:
    """A task in the background has no stream behind it: it fails with the reason, once."""
    failing = Failing(Unavailable("greeter is away"), times=100)
    async with serving(fleet_bench, "textstats", failing.skill):
        ops = await caller(fleet_bench)
        found = await reaches(ops, (await background(ops, "x")).id, a2a.FAILED)
    assert found.status.message is not None
    assert found.status.message.text() == "greeter is away"
    assert failing.runs == 1


async def test_what_never_passes_is_given_up_with_its_history(fleet_bench: Bench) -> None:
    """At the delivery limit the task is FAILED with the last reason, and is a dead letter once the worker ends it."""
    failing = Failing(Unavailable("greeter is away"), times=100)
    ops = await caller(fleet_bench)
    task = await ops.leave_task("textstats", saying("x"))
    async with serving(fleet_bench, "textstats", failing.skill, takes_tasks=False) as agent:
        message = await pull_one(agent)
        call, delivery = read_task(message), delivery_of(message)
        for number in range(1, MAX_DELIVERIES):
            with pytest.raises(Unavailable) as failure:
                await agent.operations.run_task(call, delivery.stream_sequence, number)
            await agent.worker._dead.note("ops", delivery._replace(delivered=number), failure.value)
        with pytest.raises(GivenUp, match="the last one failed: greeter is away"):
            await agent.operations.run_task(call, delivery.stream_sequence, MAX_DELIVERIES)
        assert (await ops.get_task("textstats", task)).status.state == a2a.FAILED
        await agent.bus.publish(message.reply, b"-NAK")  # the worker died before it kept the dead letter
        agent.worker.start()
        operator = await fleet_bench.connect("ops")
        (dead,) = await until(lambda: read_dead_letters(operator, "ops"))
    assert failing.runs == MAX_DELIVERIES
    assert "greeter is away" in dead.letter.reason
    assert dead.letter.task == task
