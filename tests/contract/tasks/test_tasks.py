"""Durable tasks, over a real server: left for an agent, run to their end once, looked at by their owner."""

from __future__ import annotations

import asyncio
import json
from itertools import groupby

import pytest

from agents.runtime.tasks.durable import MAX_DELIVERIES
from bus.connection import Msg
from bus.inbound import read_task
from bus.jetstream import Entry, Puller, delivery_of
from bus.requests.flow import Bounds
from bus.tasks.dead_letters import GivenUp
from bus.tasks.states import StaleTask, TaskRecord
from schemas import a2a, names, protojson, subjects
from schemas.errors import TaskNotFound, UnknownOutcome
from tests.contract.agents.skills import SECRET, Counting, Gate, echo, failing, impatient
from tests.harness.admin import administrator, consumer_state
from tests.harness.agent import Agent, caller, saying, sending, serving, trail
from tests.harness.fleet import Bench, until

VERSION = {"A2A-Version": "1.0"}


async def _state(bench: Bench, task: str, *, of: str = "ops") -> a2a.Task:
    """The task, once it has ended."""
    looking = await caller(bench, of)

    async def ended() -> a2a.Task | None:
        try:
            found = await looking.get_task("textstats", task)
        except TaskNotFound:
            return None
        return found if found.is_final else None

    task_found = await until(ended, timeout_s=25)
    assert task_found is not None
    return task_found


async def _is_acknowledged(bench: Bench) -> None:
    """Return when the stream has nothing left for the agent, delivered or not."""
    admin = await administrator(bench, names.ACCOUNT_BUS)

    async def has_nothing() -> bool:
        state = await consumer_state(admin, names.TASKS, "textstats")
        return bool(state["num_pending"] == state["num_ack_pending"] == 0)

    await until(has_nothing)


async def test_a_task_waits_for_its_agent(fleet_bench: Bench) -> None:
    """A task that is left while the agent is down is done when it is up, and its owner can read how it ended."""
    ops = await caller(fleet_bench)
    task = await ops.leave_task("textstats", sending({"text": "one three"}))
    async with serving(fleet_bench, "textstats") as agent:
        found = await _state(fleet_bench, task)
        assert (found.id, found.status.state) == (task, a2a.COMPLETED)
        assert [part.data for artifact in found.artifacts for part in artifact.parts] == [
            {"words": 2, "characters": 9, "longest": ["three", "one"]}
        ]
        await _is_acknowledged(fleet_bench)
        changes = [event.data.action for event in await trail(fleet_bench, agent, kind="task.changed")]
    assert changes == ["working", "completed"]
    assert fleet_bench.violations == []


async def test_the_acknowledgement_of_the_stream_names_the_task(fleet_bench: Bench) -> None:
    """A plain client that publishes a task knows its id: `task-` and the sequence of the PubAck."""
    async with serving(fleet_bench, "textstats"):
        plain = await fleet_bench.attacker("ops")
        payload = protojson.encode(sending({"text": "a b"}))
        answer = await plain.client.request("a2a.v1.task.textstats.ops", payload, timeout=5, headers=VERSION)
        ack = json.loads(answer.data)
        assert ack["stream"] == names.TASKS
        assert (await _state(fleet_bench, f"task-{ack['seq']}")).status.state == a2a.COMPLETED


async def test_a_key_makes_repeating_harmless(fleet_bench: Bench) -> None:
    """The same caller and key is one task; another key, or no key, is another."""
    counting = Counting()
    ops = await caller(fleet_bench)
    first, again = [await ops.leave_task("textstats", saying("once"), key="k") for _ in range(2)]
    other = await ops.leave_task("textstats", saying("other"), key="k2")
    theirs = await (await caller(fleet_bench, "concierge")).leave_task("textstats", saying("theirs"), key="k")
    plain = [await ops.leave_task("textstats", saying("twice")) for _ in range(2)]
    assert first == again
    assert len({first, other, theirs, *plain}) == 5
    async with serving(fleet_bench, "textstats", counting.skill):
        for task in (first, other, *plain):
            await _state(fleet_bench, task)
        await _state(fleet_bench, theirs, of="concierge")
    assert counting.runs == {"once": 1, "other": 1, "theirs": 1, "twice": 2}


async def test_a_task_is_its_owners(fleet_bench: Bench) -> None:
    """Another caller that knows the id of a task is told that there is none."""
    async with serving(fleet_bench, "textstats", echo):
        task = await (await caller(fleet_bench)).leave_task("textstats", saying("mine"))
        await _state(fleet_bench, task)
        with pytest.raises(TaskNotFound):
            await (await caller(fleet_bench, "concierge")).get_task("textstats", task)


async def _pull_one(agent: Agent) -> Msg:
    """Take a task as the agent would."""
    puller = Puller(agent.bus, names.TASKS, agent.id)
    (message,) = await until(lambda: puller.pull(1, wait_s=1))
    return message


async def test_a_task_that_comes_again_after_its_end_is_not_run_again(fleet_bench: Bench) -> None:
    """When the acknowledgement of an ended task is lost, the task comes again: it is acknowledged, not run."""
    counting = Counting()
    ops = await caller(fleet_bench)
    task = await ops.leave_task("textstats", saying("once"))
    async with serving(fleet_bench, "textstats", counting.skill, takes_tasks=False) as agent:
        message = await _pull_one(agent)
        await agent.operations.run_task(read_task(message), delivery_of(message).stream_sequence, 1)
        assert (await _state(fleet_bench, task)).status.state == a2a.COMPLETED
        await agent.bus.publish(message.reply, b"-NAK")  # the server delivers again, as it does without any word
        agent.worker.start()
        await _is_acknowledged(fleet_bench)
        assert len(await trail(fleet_bench, agent, kind="task.redelivered")) == 1
    assert counting.runs == {"once": 1}


async def test_a_task_that_never_ends_is_given_up_with_a_word(fleet_bench: Bench) -> None:
    """A task that was delivered too often is not run again: its owner finds it failed, with the reason."""
    counting = Counting()
    ops = await caller(fleet_bench)
    task = await ops.leave_task("textstats", saying("poison"))
    async with serving(fleet_bench, "textstats", counting.skill, takes_tasks=False) as agent:
        message = await _pull_one(agent)
        call, sequence = read_task(message), delivery_of(message).stream_sequence
        with pytest.raises(GivenUp):
            await agent.operations.run_task(call, sequence, MAX_DELIVERIES + 1)
        found = await _state(fleet_bench, task)
    assert found.status.state == a2a.FAILED
    assert found.status.message is not None
    assert "given up" in found.status.message.text()
    assert counting.runs == {}


@pytest.mark.timeout(90)
async def test_a_dead_workers_task_is_finished_by_another(fleet_bench: Bench) -> None:
    """An instance that dies in the middle of a task gives no word; after the wait another instance finishes it."""
    gate, counting = Gate(), Counting()
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", gate.skill) as first:
        task = await ops.leave_task("textstats", saying("inherited"))
        await gate.has_entered()
        await first.die()
        async with serving(fleet_bench, "textstats", counting.skill, slot="1") as second:
            found = await _state(fleet_bench, task)
            assert found.status.state == a2a.COMPLETED
            assert [part.text for part in found.artifacts[0].parts] == ["inherited done"]
            assert len(await trail(fleet_bench, second, kind="task.redelivered")) == 1
    assert counting.runs == {"inherited": 1}


BAD_PAYLOADS = {
    "not JSON": b"\xff",
    "nothing": b"",
    "no message": b"{}",
    "the agent's own role": b'{"message":{"messageId":"m","role":"ROLE_AGENT","parts":[{"text":"a"}]}}',
    "no parts": b'{"message":{"messageId":"m","role":"ROLE_USER","parts":[]}}',
}


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS)
async def test_a_task_that_cannot_be_read_is_rejected(fleet_bench: Bench, payload: bytes) -> None:
    """A payload that is no request becomes a REJECTED task that says why, and does not come again."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill):
        plain = await fleet_bench.attacker("ops")
        answer = await plain.client.request("a2a.v1.task.textstats.ops", payload, timeout=5, headers=VERSION)
        found = await _state(fleet_bench, f"task-{json.loads(answer.data)['seq']}")
        assert found.status.state == a2a.REJECTED
        assert found.status.message is not None
        assert found.status.message.text()
        await _is_acknowledged(fleet_bench)
    assert counting.runs == {}


async def test_a_task_with_bad_input_is_rejected_with_the_path(fleet_bench: Bench) -> None:
    """What the skill's type forbids is the caller's to fix: REJECTED, and the path in the document is named."""
    async with serving(fleet_bench, "textstats"):
        task = await (await caller(fleet_bench)).leave_task("textstats", sending({"text": ""}))
        found = await _state(fleet_bench, task)
        assert found.status.state == a2a.REJECTED
        assert found.status.message is not None
        assert "message.parts[0].data.text" in found.status.message.text()


@pytest.mark.parametrize("skill", [failing, impatient], ids=["ValueError", "its own time-out"])
async def test_a_handlers_error_fails_the_task_without_its_text(fleet_bench: Bench, skill: object) -> None:
    """Whatever a handler raises, the task is FAILED once, and nothing of the error's text is in it."""
    async with serving(fleet_bench, "textstats", skill):  # type: ignore[arg-type]
        task = await (await caller(fleet_bench)).leave_task("textstats", saying("a"))
        found = await _state(fleet_bench, task)
        assert found.status.state == a2a.FAILED
        assert SECRET not in protojson.encode(found).decode()
        assert found.status.message is not None
        assert "the agent failed" in found.status.message.text()
        await _is_acknowledged(fleet_bench)


async def test_a_task_without_end_is_failed_at_the_agents_limit(fleet_bench: Bench) -> None:
    """A task that takes longer than the agent allows is cancelled and FAILED, and says so."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill, bounds=Bounds(timeout_s=3)):
        task = await (await caller(fleet_bench)).leave_task("textstats", saying("a"))
        found = await _state(fleet_bench, task)
        assert found.status.state == a2a.FAILED
        assert found.status.message is not None
        assert "out of time" in found.status.message.text()
        assert gate.cancelled == ["a"]


async def test_a_task_that_expired_is_not_begun(fleet_bench: Bench) -> None:
    """What was left `within_s` fails when nobody took it up in time: the handler never hears of it."""
    counting, ops = Counting(), await caller(fleet_bench)
    task = await ops.leave_task("textstats", saying("a"), within_s=0.001)
    async with serving(fleet_bench, "textstats", counting.skill):
        found = await _state(fleet_bench, task)
    assert found.status.state == a2a.FAILED
    assert found.status.message is not None
    assert "deadline passed before it could be started" in found.status.message.text()
    assert counting.runs == {}


async def test_draining_lets_a_task_finish(fleet_bench: Bench) -> None:
    """A task that runs when the agent is told to stop is finished, and the next one is left for another instance."""
    gate, counting = Gate(), Counting()
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        ops = await caller(fleet_bench)
        running = await ops.leave_task("textstats", saying("running"))
        await gate.has_entered()
        draining = asyncio.create_task(agent.worker.drain(20))

        async def takes_no_more() -> bool:
            return agent.worker._loop is not None and agent.worker._loop.done()

        await until(takes_no_more)
        late = await ops.leave_task("textstats", saying("late"))
        gate.opened.set()
        assert await draining == 0
        assert (await _state(fleet_bench, running)).status.state == a2a.COMPLETED
        async with serving(fleet_bench, "textstats", counting.skill, slot="1"):
            assert (await _state(fleet_bench, late)).status.state == a2a.COMPLETED
    assert (gate.left, counting.runs) == (["running"], {"late": 1})


async def test_what_a_drain_cannot_finish_goes_to_another_instance_at_once(fleet_bench: Bench) -> None:
    """A task that is unfinished when draining must end is given back, and is not made to wait for a time-out."""
    gate, counting = Gate(), Counting()
    async with serving(fleet_bench, "textstats", gate.skill) as first:
        task = await (await caller(fleet_bench)).leave_task("textstats", saying("handed over"))
        await gate.has_entered()
        assert await first.worker.drain(0.1) == 1
        assert gate.cancelled == ["handed over"]
        async with serving(fleet_bench, "textstats", counting.skill, slot="1"):
            assert (await _state(fleet_bench, task)).status.state == a2a.COMPLETED
    assert counting.runs == {"handed over": 1}


async def test_the_owner_hears_each_state_as_it_comes(fleet_bench: Bench) -> None:
    """Events of a task arrive at its owner's subject, in order, readable, and end with the terminal state."""
    heard: list[tuple[str, a2a.StreamResponse]] = []

    def on_event(message: Msg) -> None:
        assert message.headers is not None
        assert message.headers["A2A-Version"] == "1.0"
        heard.append((message.subject, protojson.decode(message.data, a2a.StreamResponse)))

    async with serving(fleet_bench, "textstats", echo):
        owner = await fleet_bench.connect("ops")
        await owner.subscribe(subjects.TaskEvent.pattern(caller="ops"), on_event)
        await owner.flush()
        task = await (await caller(fleet_bench)).leave_task("textstats", saying("a", context="c-1"))

        async def has_ended() -> bool:
            return bool(
                heard and heard[-1][1].status_update and heard[-1][1].status_update.status.state == a2a.COMPLETED
            )

        await until(has_ended)
    updates = [frame.status_update for _, frame in heard if frame.status_update]
    assert {subject for subject, _ in heard} == {f"a2a.v1.evt.textstats.ops.{task}"}
    # An event whose acknowledgement came late is stored again, and the server hands on both.
    assert [state for state, _ in groupby(update.status.state for update in updates)] == [a2a.WORKING, a2a.COMPLETED]
    assert {(update.task_id, update.context_id) for update in updates} == {(task, "c-1")}


async def test_one_instance_runs_no_more_than_its_limit_at_once(fleet_bench: Bench) -> None:
    """Tasks beyond `max_concurrent` stay on the stream, for this instance later or for another one now."""
    gate, counting = Gate(), Counting()
    ops = await caller(fleet_bench)
    tasks = [await ops.leave_task("textstats", saying(str(number))) for number in range(4)]
    async with serving(fleet_bench, "textstats", gate.skill, bounds=Bounds(max_concurrent=2)):
        await gate.has_entered(2)
        async with serving(fleet_bench, "textstats", counting.skill, slot="1"):
            for task in tasks[2:]:
                await _state(fleet_bench, task)
            assert gate.entered == ["0", "1"]
            assert counting.runs == {"2": 1, "3": 1}
            gate.opened.set()
            for task in tasks[:2]:
                assert (await _state(fleet_bench, task)).status.state == a2a.COMPLETED


@pytest.mark.parametrize("is_overtaken", [False, True])
async def test_a_claim_is_believed_from_no_copy_that_is_behind(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch, is_overtaken: bool
) -> None:
    """The answer to a claim is lost, and a copy of the tasks answers that is behind, as in a cluster: the claim holds if
    the leader's last is this one, and not where another instance took the task over meanwhile and ended it."""
    async with (
        serving(fleet_bench, "textstats", takes_tasks=False) as late,
        serving(fleet_bench, "textstats", slot="1", takes_tasks=False) as other,
    ):
        bucket = late.book._bucket
        behind: list[Entry | None] = [None]
        put, get = bucket.put, bucket.get

        async def lost(key: str, value: bytes, *, revision: int, headers: dict[str, str] | None = None) -> int:
            monkeypatch.setattr(bucket, "put", put)  # this time only
            await put(key, value, revision=revision, headers=headers)
            if is_overtaken:
                behind[:] = [await get(key)]
                await other.book.save(await other.book.require_record("ops", "task-1"), a2a.COMPLETED)
            raise UnknownOutcome("planted: the answer is lost")

        async def copied(key: str) -> Entry | None:
            return behind.pop() if behind else await get(key)

        monkeypatch.setattr(bucket, "put", lost)
        monkeypatch.setattr(bucket, "get", copied)
        task = a2a.Task(id="task-1", context_id="c-1", status=a2a.TaskStatus(state=a2a.SUBMITTED))
        record = TaskRecord("ops", task, revision=0, event=0, is_durable=True)
        if is_overtaken:
            with pytest.raises(StaleTask):
                await late.book.save(record, a2a.WORKING)
        else:
            await late.book.save(record, a2a.WORKING)
        assert behind == []
        found = await other.book.get("ops", "task-1")
    assert found.status.state == (a2a.COMPLETED if is_overtaken else a2a.WORKING)
