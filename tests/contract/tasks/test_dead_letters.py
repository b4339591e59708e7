"""Dead letters: what was given up is kept for its caller, with the reason and the history, and can be left again."""

from __future__ import annotations

import asyncio
import json

import pytest

from agents.cli.tasks.dead import left_again
from agents.runtime.tasks.durable import MAX_DELIVERIES
from bus.connection import Connection
from bus.inbound import Call, read_task
from bus.jetstream import Puller, call, delivery_of
from bus.provision.streams import streams_of
from bus.requests.flow import Bounds, Places
from bus.tasks.dead_letters import Dead, DeadLetters, GivenUp, read_dead_letters
from bus.tasks.sources import LeftTasks
from bus.tasks.worker import TaskWorker
from schemas import a2a, names, protojson
from schemas.dead import LOST
from schemas.errors import InvalidDocument, TaskNotFound, Unavailable
from tests.contract.agents.skills import SECRET, Counting
from tests.contract.tasks.scheduling import pull_some
from tests.harness.admin import administrator, consumer_state
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.fleet import Bench, until

VERSION = {"A2A-Version": "1.0"}
SUBJECT = "a2a.v1.task.textstats.ops"


async def _left(bench: Bench, payload: bytes, headers: dict[str, str]) -> str:
    """A task that a plain client of ops left."""
    plain = await bench.attacker("ops")
    answer = await plain.client.request(SUBJECT, payload, timeout=5, headers=headers)
    return f"task-{json.loads(answer.data)['seq']}"


async def _letters(connection: Connection, count: int) -> list[Dead]:
    """The dead letters of ops, when there are so many."""

    async def found() -> list[Dead]:
        letters = await read_dead_letters(connection, "ops")
        return letters if len(letters) >= count else []

    return await until(found, timeout_s=20)


async def _lose(agent: Agent, times: int) -> None:
    """Take the agent's one task as its workers would, and end without a word, `times` times."""
    puller = Puller(agent.bus, names.TASKS, agent.id)
    for number in range(1, times + 1):
        (message,) = await until(lambda: puller.pull(1, wait_s=1))
        assert delivery_of(message).delivered == number
        await agent.bus.publish(message.reply, b"-NAK")  # as the server does after the wait for a word


async def test_a_task_that_is_given_up_is_kept(fleet_bench: Bench) -> None:
    """After the last delivery the task is FAILED, and its message, byte by byte, is a dead letter with every attempt."""
    ops, counting = await fleet_bench.connect("ops"), Counting()
    payload = protojson.encode(saying("poison"))
    async with serving(fleet_bench, "textstats", counting.skill, takes_tasks=False) as agent:
        task = await _left(fleet_bench, payload, VERSION | {"traceparent": "kept"})
        await _lose(agent, MAX_DELIVERIES)
        agent.worker.start()
        (dead,) = await _letters(ops, 1)
        assert (await (await caller(fleet_bench)).get_task("textstats", task)).status.state == a2a.FAILED
    assert (dead.agent, dead.letter.task, dead.payload) == ("textstats", task, payload)
    assert dead.letter.headers == VERSION | {"traceparent": "kept"}
    assert "given up" in dead.letter.reason
    assert [attempt.number for attempt in dead.letter.attempts] == list(range(1, MAX_DELIVERIES + 1))
    assert {attempt.error for attempt in dead.letter.attempts} == {LOST}
    (given_up,) = await trail(fleet_bench, kind="task.given_up")
    assert (given_up.data.actor, given_up.data.outcome) == ("ops", "failure")
    assert counting.runs == {}
    assert fleet_bench.violations == []


async def test_the_history_has_times_and_classes_and_no_texts(fleet_bench: Bench) -> None:
    """An attempt that failed is noted with its number, its time and the class of its error, never with its text."""

    async def run(_: Call, __: int, delivered: int) -> None:
        if delivered == 1:
            raise Unavailable(SECRET)
        raise GivenUp("no more")

    bus, own = await fleet_bench.connect("textstats"), await fleet_bench.connect("textstats", names.OWN_CREDENTIAL)
    audit = await fleet_bench.audit("textstats", own)
    worker = TaskWorker(
        (LeftTasks("textstats", bus),), run, audit, DeadLetters("textstats", own, bus), Places(Bounds(max_concurrent=1))
    )
    worker.start()
    await _left(fleet_bench, protojson.encode(saying("a")), VERSION)
    (dead,) = await _letters(await fleet_bench.connect("ops"), 1)
    await worker.drain(5)
    (attempt,) = dead.letter.attempts
    assert (attempt.number, attempt.error) == (1, "Unavailable")
    assert dead.letter.left_at <= attempt.at <= dead.letter.at
    assert SECRET not in str(dead)


UNREADABLE = {
    "not JSON": (b"\xff", VERSION),
    "no parts": (b'{"message":{"messageId":"m","role":"ROLE_USER","parts":[]}}', VERSION),
    "no version": (protojson.encode(saying("a")), {"traceparent": "x"}),
}


@pytest.mark.parametrize(("payload", "headers"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_is_kept(fleet_bench: Bench, payload: bytes, headers: dict[str, str]) -> None:
    """A message that is no task is kept as it came, with what is wrong with it."""
    async with serving(fleet_bench, "textstats"):
        task = await _left(fleet_bench, payload, headers)
        (dead,) = await _letters(await fleet_bench.connect("ops"), 1)
    assert (dead.letter.task, dead.payload, dead.letter.headers) == (task, payload, headers)
    assert dead.letter.reason
    assert dead.letter.attempts == ()


async def test_what_the_server_was_steered_to_is_nobodys(fleet_bench: Bench) -> None:
    """A message with the marks of a JetStream answer is not kept: its subject says nothing about who made it."""
    async with serving(fleet_bench, "textstats"):
        await _left(
            fleet_bench, protojson.encode(saying("forged")), VERSION | {"Nats-Stream": "X", "Nats-Sequence": "1"}
        )
        task = await _left(fleet_bench, b"", VERSION)
        (dead,) = await _letters(await fleet_bench.connect("ops"), 1)
    assert dead.letter.task == task


async def test_a_message_without_room_for_its_history_is_named(fleet_bench: Bench) -> None:
    """A message as large as the server takes has a dead letter that says where it lies, and cannot be retried from it."""
    ops = await fleet_bench.connect("ops")
    async with serving(fleet_bench, "textstats"):
        task = await _left(fleet_bench, b"x" * (names.MAX_PAYLOAD_BYTES - 60), VERSION)
        (dead,) = await _letters(ops, 1)
        assert (dead.letter.is_whole, dead.payload, f"task-{dead.letter.sequence}") == (False, b"", task)
        with pytest.raises(InvalidDocument, match="too large"):
            await left_again(ops, await caller(fleet_bench), "ops", ("textstats", task), again=True)


async def test_readers_of_one_name_do_not_mislead_each_other(fleet_bench: Bench) -> None:
    """Whoever reads while another one does gets all dead letters, or is told to try again; never a part of them."""
    async with serving(fleet_bench, "textstats"):
        for _ in range(5):
            await _left(fleet_bench, b"", VERSION)
        ops = [await fleet_bench.connect("ops") for _ in range(4)]
        await _letters(ops[0], 5)
        answers = await asyncio.gather(*(read_dead_letters(each, "ops") for each in ops), return_exceptions=True)
    assert {len(answer) if isinstance(answer, list) else type(answer) for answer in answers} <= {5, Unavailable}
    assert len(await read_dead_letters(ops[0], "ops")) == 5


async def test_a_retry_is_one_new_task(fleet_bench: Bench) -> None:
    """A retry is a new task that refers to the old one; repeated it is the same task, and another one if asked for."""
    counting, which = Counting(), ("textstats", "task-1")
    ops, calls = await fleet_bench.connect("ops"), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", counting.skill, takes_tasks=False) as agent:
        await _left(fleet_bench, protojson.encode(saying("at last")), VERSION)
        await _lose(agent, MAX_DELIVERIES)
        agent.worker.start()
        await _letters(ops, 1)
        first = await left_again(ops, calls, "ops", which, again=True)

        async def is_done() -> bool:
            return first in {task.id for task in (await calls.list_tasks("textstats")).tasks} and bool(counting.runs)

        await until(is_done)
        # with another idempotency key: what is found is the earlier task
        assert await left_again(ops, calls, "ops", which, again=False) == first
        assert counting.runs == {"at last": 1}
        (message,) = (await calls.get_task("textstats", first)).history[:1]
        assert message.reference_task_ids == ("task-1",)
        assert await left_again(ops, calls, "ops", which, again=True) != first
        with pytest.raises(TaskNotFound, match="task-99"):
            await left_again(ops, calls, "ops", ("textstats", "task-99"), again=False)


async def test_two_retries_at_once_are_one_task(fleet_bench: Bench) -> None:
    """Retries that know nothing of each other leave one task, because their key is that of the dead letter."""
    counting, which = Counting(), ("textstats", "task-1")
    async with serving(fleet_bench, "textstats", counting.skill, takes_tasks=False) as agent:
        await _left(fleet_bench, protojson.encode(saying("once")), VERSION)
        await _lose(agent, MAX_DELIVERIES)
        agent.worker.start()
        first = await fleet_bench.connect("ops")
        await _letters(first, 1)
        await agent.worker.drain(5)  # nothing is taken, so that no list of tasks has a retry
        calls = await caller(fleet_bench)
        ids = [await left_again(first, calls, "ops", which, again=False) for _ in range(2)]
    assert ids[0] == ids[1] != "task-1"


async def test_a_retry_needs_the_agent_to_know_what_was_retried(fleet_bench: Bench) -> None:
    """While the agent is down nobody can say whether there was a retry: it is refused, unless one more is asked for."""
    ops = await fleet_bench.connect("ops")
    async with serving(fleet_bench, "textstats", takes_tasks=False) as agent:
        await _left(fleet_bench, protojson.encode(saying("later")), VERSION)
        await _lose(agent, MAX_DELIVERIES)
        agent.worker.start()
        await _letters(ops, 1)
    calls = await caller(fleet_bench)
    with pytest.raises(Unavailable):
        await left_again(ops, calls, "ops", ("textstats", "task-1"), again=False)
    assert await left_again(ops, calls, "ops", ("textstats", "task-1"), again=True) == "task-2"


async def test_a_worker_that_dies_before_it_kept_the_letter_is_made_up_for(fleet_bench: Bench) -> None:
    """A task that was ended as given up and comes again is kept then; one that its handler ended never is."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill, takes_tasks=False) as agent:
        for text in ("poison", "fine"):
            await _left(fleet_bench, protojson.encode(saying(text)), VERSION)
        poison, fine = [read_task(message) for message in await pull_some(agent, 2)]
        for delivered in (MAX_DELIVERIES + 1, MAX_DELIVERIES + 2):
            with pytest.raises(GivenUp):
                await agent.operations.run_task(poison, 1, delivered)
        for delivered in (1, MAX_DELIVERIES + 1):
            await agent.operations.run_task(fine, 2, delivered)
    assert counting.runs == {"fine": 1}


async def test_a_letter_is_kept_through_an_outage(fleet_bench: Bench) -> None:
    """While stream DEAD is away the task is not acknowledged; its letter is there when the stream is."""
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    (dead,) = [stream for stream in streams_of(fleet_bench.fleet) if stream.name == names.DEAD]
    await call(admin, f"STREAM.DELETE.{names.DEAD}")
    async with serving(fleet_bench, "textstats"):
        task = await _left(fleet_bench, b"", VERSION)
        looking = await caller(fleet_bench)

        async def is_rejected() -> bool:
            return [found.id for found in (await looking.list_tasks("textstats")).tasks] == [task]

        await until(is_rejected)
        assert (await consumer_state(admin, names.TASKS, "textstats"))["num_ack_pending"] == 1
        await call(admin, f"STREAM.CREATE.{names.DEAD}", dead.config)
        for consumer in dead.consumers:
            body = {"stream_name": names.DEAD, "config": consumer}
            await call(admin, f"CONSUMER.DURABLE.CREATE.{names.DEAD}.{consumer['durable_name']}", body)
        (letter,) = await _letters(await fleet_bench.connect("ops"), 1)
    assert letter.letter.task == task
