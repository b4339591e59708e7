"""Steering: a requester chooses the reply subject, the server answers where it is told; nobody may profit from it.

The attackers have real keys of the fleet and a plain client, so everything here is allowed by the server:
what stops it is the receiver's own rules.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bus.connection import Msg
from schemas import a2a, names
from schemas.audit import AuditEvent
from schemas.errors import DeadlineExceeded, TaskNotFound
from tests.contract.agents.skills import Counting, Gate, echo
from tests.harness.admin import administrator, consumer_state, stored_count
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.fleet import Bench, until

SUBJECT = "a2a.v1.req.textstats.ops.SendMessage"
VERSION = {"A2A-Version": "1.0"}
PAYLOAD = json.dumps({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "steered"}]}}).encode()


@pytest.fixture
async def counting() -> Counting:
    return Counting()


@pytest.fixture
async def victim(fleet_bench: Bench, counting: Counting) -> AsyncIterator[Agent]:
    """Textstats with a skill that counts what it is made to do."""
    async with serving(fleet_bench, "textstats", counting.skill) as agent:
        yield agent


async def _events(bench: Bench, agent: Agent, kind: str, count: int = 1) -> list[AuditEvent]:
    async def arrived() -> list[AuditEvent]:
        events = await trail(bench, agent, kind=kind)
        return events if len(events) >= count else []

    return await until(arrived)


async def _listening(bench: Bench, account: str) -> tuple[list[Msg], Any]:
    """Everything that is published in an account, from now on, as its administrator sees it."""
    admin = await administrator(bench, account)
    heard: list[Msg] = []
    await admin.subscribe(">", heard.append)
    await admin.flush()
    return heard, admin


FOREIGN_REPLIES = {
    "another caller's reply": "a2a.v1.rep.concierge.textstats.x.1",
    "a reply that another agent should give": "a2a.v1.rep.ops.greeter.x.1",
    "a reply prefix and no more": "a2a.v1.rep.ops.textstats",
    "the audit trail": "audit.agent.textstats.0.request",
    "a request to somebody": "a2a.v1.req.greeter.textstats.SendMessage",
    "a task for somebody": "a2a.v1.task.greeter.textstats",
    "a task event": "a2a.v1.evt.textstats.concierge.task-1",
    "a heartbeat": "a2a.v1.hb.textstats",
    "somebody's inbox": "_INBOX.other.x",
    "an inbox of nobody": "_INBOX.x",
    "the inbox of an agent": "_INBOX_greeter.x",
    "a caller whose name goes on": "_INBOX.ops2.x",
    "JetStream": "$JS.API.STREAM.DELETE.TASKS",
    "a vote": "approvals.review.reviewer.approve",
}


async def test_a_request_with_a_foreign_reply_subject_is_not_served(
    fleet_bench: Bench, victim: Agent, counting: Counting
) -> None:
    """Nothing runs and nothing is published when the reply subject is not the caller's own; it is on the trail."""
    heard, admin = await _listening(fleet_bench, names.ACCOUNT_BUS)
    plain = await fleet_bench.attacker("ops")
    for reply in FOREIGN_REPLIES.values():
        await plain.client.publish(SUBJECT, PAYLOAD, reply=reply, headers=VERSION)
    refused = await _events(fleet_bench, victim, "request.refused", len(FOREIGN_REPLIES))
    assert len(refused) == len(FOREIGN_REPLIES)
    assert {(event.data.outcome, event.data.resource) for event in refused} == {("denied", SUBJECT)}
    await victim.bus.flush()
    await admin.flush()
    assert [message.subject for message in heard if message.subject in FOREIGN_REPLIES.values()] == []
    assert counting.runs == {}
    assert plain.errors == []


async def test_the_server_itself_refuses_an_acknowledgement_as_reply_subject(fleet_bench: Bench) -> None:
    """A requester cannot have an agent acknowledge a task that way: such a request does not arrive at all."""
    plain = await fleet_bench.attacker("ops")
    reply = "$JS.ACK.TASKS.textstats.1.1.1.1.0"
    await plain.refused(lambda: plain.client.publish(SUBJECT, PAYLOAD, reply=reply, headers=VERSION))


async def test_a_request_without_a_reply_subject_is_not_served(
    fleet_bench: Bench, victim: Agent, counting: Counting
) -> None:
    """Who does not want an answer is not served: that is how an answer of the server looks on a request subject."""
    plain = await fleet_bench.attacker("ops")
    await plain.client.publish(SUBJECT, PAYLOAD, headers=VERSION)
    (refused,) = await _events(fleet_bench, victim, "request.refused")
    assert "no reply subject" in refused.data.reason
    assert counting.runs == {}


MARKS = ("Nats-Stream", "Nats-Subject", "Nats-Sequence", "nats-stream", "NATS-SEQUENCE", "Nats-Time-Stamp", "Status")


async def test_a_message_with_the_marks_of_a_stream_is_not_a_request(
    fleet_bench: Bench, victim: Agent, counting: Counting
) -> None:
    """What JetStream adds on delivery, in any spelling, means that the server was steered: refused without answer."""
    plain = await fleet_bench.attacker("ops")
    inbox = await plain.client.subscribe("_INBOX.ops.x")
    for number, mark in enumerate(MARKS, 1):
        await plain.client.publish(SUBJECT, PAYLOAD, reply="_INBOX.ops.x", headers=VERSION | {mark: "1"})
        refused = await _events(fleet_bench, victim, "request.refused", number)
        assert (len(refused), "JetStream" in refused[-1].data.reason) == (number, True), mark
    await victim.bus.flush()
    await plain.client.flush()
    assert inbox.pending_msgs == 0
    assert counting.runs == {}


async def test_an_acknowledgement_of_a_stream_can_be_steered_and_does_nothing(
    fleet_bench: Bench, victim: Agent, counting: Counting
) -> None:
    """The server's PubAck, sent where a request or a task of somebody else is expected, starts nothing."""
    async with serving(fleet_bench, "greeter", echo, takes_requests=False, takes_tasks=False):
        admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
        plain = await fleet_bench.attacker("ops")
        steered = ("a2a.v1.req.textstats.concierge.SendMessage", "a2a.v1.task.textstats.concierge")
        for reply in steered:
            await plain.client.publish("a2a.v1.task.greeter.ops", PAYLOAD, reply=reply, headers=VERSION)
        (request,) = await _events(fleet_bench, victim, "request.refused")
        (task,) = await _events(fleet_bench, victim, "task.refused")

        async def is_terminated() -> bool:
            state = await consumer_state(admin, names.TASKS, "textstats")
            return bool(state["num_pending"] == state["num_ack_pending"] == 0)

        await until(is_terminated)
        assert (request.data.resource, task.data.resource) == steered
        assert "A2A-Version" in task.data.reason
        assert await stored_count(admin, names.TASKS) == 3  # two for greeter, and the forged one
        assert counting.runs == {}


async def test_a_stored_task_steered_onto_a_request_subject_keeps_its_own_subject(
    fleet_bench: Bench, victim: Agent, counting: Counting
) -> None:
    """An agent that pulls its own task to a victim's subject gives the victim nothing that it takes for a request."""
    ops = await caller(fleet_bench)
    await ops.leave_task("concierge", saying("steered"))
    accomplice = await fleet_bench.attacker("concierge")
    for reply in ("a2a.v1.req.textstats.ops.SendMessage", "a2a.v1.task.textstats.ops"):
        pull = json.dumps({"batch": 1, "no_wait": True}).encode()
        await accomplice.client.publish("$JS.API.CONSUMER.MSG.NEXT.TASKS.concierge", pull, reply=reply)
    refused = await _events(fleet_bench, victim, "request.refused")
    assert {event.data.outcome for event in refused} == {"denied"}
    assert counting.runs == {}


HEADER_BLOCKS = {
    "a version given twice": b"NATS/1.0\r\nA2A-Version: 1.0\r\nA2A-Version: 1.0\r\n\r\n",
    "twice in other letters": b"NATS/1.0\r\nA2A-Version: 1.0\r\na2a-version: 0.3\r\n\r\n",
    "a line without a colon": b"NATS/1.0\r\nA2A-Version: 1.0\r\nnonsense\r\n\r\n",
    "a name with a space": b"NATS/1.0\r\nA2A-Version: 1.0\r\nNats-Stream : X\r\n\r\n",
    "a name with a leading space": b"NATS/1.0\r\nA2A-Version: 1.0\r\n Nats-Stream: X\r\n\r\n",
    "no name": b"NATS/1.0\r\nA2A-Version: 1.0\r\n: X\r\n\r\n",
    "a value that is not UTF-8": b"NATS/1.0\r\nA2A-Version: 1.0\r\nX: \xff\r\n\r\n",
    "line feeds alone": b"NATS/1.0\r\nA2A-Version: 1.0\nNats-Stream: X\r\n\r\n",
    "a status line": b"NATS/1.0 200\r\nA2A-Version: 1.0\r\n\r\n",
    "a status line that is not UTF-8": b"NATS/1.0 \xff\xff\xff\r\nA2A-Version: 1.0\r\n\r\n",
    "a description that is not UTF-8": b"NATS/1.0 503 \xff\xff\r\n\r\n",
    "another version line": b"NATS/2.0\r\nA2A-Version: 1.0\r\n\r\n",
    "no version line": b"A2A-Version: 1.0\r\n\r\n",
    "a version line alone": b"NATS/1.0",
    "nothing but line ends": b"\r\n\r\n",
}


async def test_malformed_headers_are_refused_and_harm_nobody(
    fleet_bench: Bench, victim: Agent, counting: Counting
) -> None:
    """Headers that can be read in two ways are not read in one of them; the connection they arrive on stays up."""
    plain = await fleet_bench.attacker("ops")
    for number, (name, block) in enumerate(HEADER_BLOCKS.items(), 1):
        total = len(block) + len(PAYLOAD)
        head = f"HPUB {SUBJECT} _INBOX.ops.x {len(block)} {total}\r\n".encode()
        await plain.client._send_command(head + block + PAYLOAD + b"\r\n")  # no client writes such headers
        await plain.client._flush_pending()
        refused = await _events(fleet_bench, victim, "request.refused", number)
        assert (len(refused), refused[-1].data.outcome) == (number, "denied"), name
        assert (victim.bus.reconnects, victim.bus.is_connected) == (0, True), name
        assert plain.errors == [], name
    assert counting.runs == {}


@asynccontextmanager
async def asked(bench: Bench) -> AsyncIterator[str]:
    """A request that waits for its answer, by its reply subject; whatever is done meanwhile, the true one comes."""
    gate = Gate()
    async with serving(bench, "textstats", gate.skill):
        ops = await caller(bench)
        sent = asyncio.create_task(ops.send_message("textstats", saying("true")))
        await gate.has_entered()
        (reply,) = ops._replies.waiting
        yield reply
        gate.opened.set()
        answer = await sent
        assert answer.message is not None
        assert answer.message.text() == "true"


async def test_only_the_asked_agent_can_answer(fleet_bench: Bench) -> None:
    """A reply that another agent forges does not reach the waiting caller; the true one does."""
    async with asked(fleet_bench) as reply:
        forged = json.dumps({"message": {"messageId": "f", "role": "ROLE_AGENT", "parts": [{"text": "forged"}]}})
        forger = await fleet_bench.attacker("greeter")
        await forger.refused(lambda: forger.client.publish(reply, forged.encode(), headers=VERSION))
        own = reply.replace(".textstats.", ".greeter.")
        await forger.client.publish(own, forged.encode(), headers=VERSION)
        await forger.client.flush()


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {"A2A-Version": "2.0"},
        VERSION | {"Nats-Stream": "TASKS"},
        VERSION | {"nats-sequence": "1"},
        VERSION | {"Status": "408"},
    ],
    ids=["none", "another version", "of a stream", "of a stream in lower case", "a status"],
)
async def test_an_answer_that_may_be_the_servers_is_not_taken(
    fleet_bench: Bench, headers: dict[str, str] | None
) -> None:
    """A reply without the version, or with the marks of a stream, does not answer a request."""
    async with asked(fleet_bench) as reply:
        false = json.dumps({"message": {"messageId": "f", "role": "ROLE_AGENT", "parts": [{"text": "false"}]}})
        agent = await fleet_bench.attacker("textstats")
        await agent.client.publish(reply, false.encode(), headers=headers)
        await agent.client.flush()
        assert agent.errors == []


async def test_the_first_answer_counts(fleet_bench: Bench) -> None:
    """A second answer to one request is dropped, and so is one after the caller gave up."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill):
        ops = await caller(fleet_bench)
        with pytest.raises(DeadlineExceeded):
            await ops.send_message("textstats", saying("late"), timeout_s=1.5)
        await gate.was_cancelled()
        gate.opened.set()
        answer = await ops.send_message("textstats", saying("in time"))
        assert answer.message is not None
        assert answer.message.text() == "in time"


async def test_nobody_takes_the_place_of_anothers_task_by_its_key(fleet_bench: Bench, counting: Counting) -> None:
    """An idempotency key is its caller's: a message id that another guesses does not make one's task a duplicate."""
    async with serving(fleet_bench, "textstats", counting.skill):
        mallory = await fleet_bench.attacker("concierge")
        for guess in ("nightly", "ops:nightly", "concierge:nightly", "ops.nightly"):
            headers = VERSION | {names.MSG_ID: guess}
            await mallory.client.request("a2a.v1.task.textstats.concierge", PAYLOAD, timeout=5, headers=headers)
        ops = await caller(fleet_bench)
        task = await ops.leave_task("textstats", saying("mine"), key="nightly")

        async def is_done() -> bool:
            try:
                return (await ops.get_task("textstats", task)).status.state == a2a.COMPLETED
            except TaskNotFound:
                return False

        await until(is_done)
        assert counting.runs["mine"] == 1
        assert await ops.leave_task("textstats", saying("mine"), key="nightly") == task


async def test_nobody_takes_the_place_of_anothers_events(fleet_bench: Bench, victim: Agent) -> None:
    """An agent that stores events of its own under guessed message ids does not keep another's from being stored."""
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    mallory = await fleet_bench.attacker("greeter")
    for revision in (1, 2, 3):
        headers = VERSION | {names.MSG_ID: f"ops.task-1.{revision}"}
        await mallory.client.publish("a2a.v1.evt.greeter.ops.task-1", b"{}", headers=headers)
    await mallory.client.flush()
    assert await (await caller(fleet_bench)).leave_task(victim.id, saying("mine")) == "task-1"

    async def all_are_stored() -> bool:
        # three of hers; working, the answer and completed of the task
        return await stored_count(admin, names.EVENTS) == 6

    await until(all_are_stored)


async def test_a_deadline_that_is_no_number_is_no_deadline(
    fleet_bench: Bench, victim: Agent, counting: Counting
) -> None:
    """A deadline header decides nothing unless it is a plain number of milliseconds."""
    plain = await fleet_bench.attacker("ops")
    for value in ("soon", "-1", "1e3", "٣", "9" * 400):
        headers = VERSION | {names.DEADLINE: value}
        answer = await plain.client.request(SUBJECT, PAYLOAD, timeout=5, headers=headers)
        assert json.loads(answer.data)["message"]["parts"][0]["text"] == "steered done", value
    assert counting.runs["steered"] == 5
