"""Requests and their answers, over a real server: who asks gets an answer or a named refusal."""

from __future__ import annotations

import json
import time
from typing import Any

import jsonschema
import pytest
from nats.aio.msg import Msg

from bus.requests.flow import Bounds
from schemas import a2a, names
from schemas.errors import (
    DeadlineExceeded,
    Internal,
    InvalidAgentResponse,
    InvalidArgument,
    PayloadTooLarge,
    TaskNotFound,
    Unavailable,
    UnsupportedOperation,
)
from tests.contract.agents.skills import SECRET, Gate, boundless, echo, failing, impatient, lying
from tests.harness.agent import caller, saying, sending, serving
from tests.harness.fleet import Attacker, Bench, until

TEXTSTATS = "a2a.v1.req.textstats.ops"
VERSION = {"A2A-Version": "1.0"}
_ANSWERED_S = 6.0
"""A deadline that a request which is answered at once keeps, also on a machine that stands still for seconds."""


def _payload(*parts: Any, **message: Any) -> bytes:
    return json.dumps({"message": {"messageId": "m", "role": "ROLE_USER", "parts": parts, **message}}).encode()


GOOD = _payload({"data": {"text": "one two"}})


async def _ask(plain: Attacker, operation: str, payload: bytes, headers: dict[str, str] | None = None) -> Msg:
    return await plain.client.request(f"{TEXTSTATS}.{operation}", payload, timeout=5, headers=headers)


def _error(answer: Msg) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(answer.data)["error"]
    return error


async def test_a_typed_skill_answers_a_message_with_a_data_part(fleet_bench: Bench) -> None:
    """SendMessage to a typed skill is answered by a message of the agent, in the caller's own context."""
    async with serving(fleet_bench, "textstats"):
        ops = await caller(fleet_bench)
        answer = await ops.send_message("textstats", sending({"text": "one three"}, skill="count", context="c-mine"))
        assert answer.message is not None
        assert answer.message.role == "ROLE_AGENT"
        assert answer.message.context_id == "c-mine"
        assert answer.message.parts[0].data == {"words": 2, "characters": 9, "longest": ["three", "one"]}
    assert fleet_bench.violations == []


async def test_a_model_answers_text(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent without any model's key answers through the offline stand-in, in the style of its prompt."""
    for key in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    async with serving(fleet_bench, "greeter"):
        ops = await caller(fleet_bench)
        answer = await ops.send_message("greeter", saying("hello"))
        assert answer.message is not None
        assert answer.message.text() == "Hi there! You said: hello"
        with pytest.raises(InvalidArgument):
            await ops.send_message("greeter", sending({"no": "text"}))


REFUSALS = {
    "a value its type forbids": (
        "SendMessage", _payload({"data": {"text": ""}}), VERSION,
        400, "INVALID_ARGUMENT", "message.parts[0].data.text",
    ),
    "a value of another type": (
        "SendMessage", _payload({"data": {"text": 5}}), VERSION,
        400, "INVALID_ARGUMENT", "message.parts[0].data.text",
    ),
    "the bad part is named by its place": (
        "SendMessage", _payload({"text": "see:"}, {"data": {"text": "a", "longest": 99}}), VERSION,
        400, "INVALID_ARGUMENT", "message.parts[1].data.longest",
    ),
    "text where data is wanted": (
        "SendMessage", _payload({"text": "a"}), VERSION, 400, "INVALID_ARGUMENT", "message.parts",
    ),
    "an unknown skill": (
        "SendMessage", _payload({"data": {}}, metadata={"skill": "fly"}), VERSION,
        400, "INVALID_ARGUMENT", "message.metadata.skill",
    ),
    "a part that is text and data": (
        "SendMessage", _payload({"text": "a", "data": {}}), VERSION, 400, "INVALID_ARGUMENT", "message.parts[0]",
    ),
    "a message without parts": (
        "SendMessage", b'{"message":{"messageId":"m","role":"ROLE_USER"}}', VERSION,
        400, "INVALID_ARGUMENT", "message",
    ),
    "a message with no part": ("SendMessage", _payload(), VERSION, 400, "INVALID_ARGUMENT", ""),
    "the agent's own role": (
        "SendMessage", _payload({"text": "a"}, role="ROLE_AGENT"), VERSION, 400, "INVALID_ARGUMENT", "",
    ),
    "not JSON": ("SendMessage", b"\xff{", VERSION, 400, "INVALID_ARGUMENT", ""),
    "nothing at all": ("SendMessage", b"", VERSION, 400, "INVALID_ARGUMENT", ""),
    "a message for a task that does not exist": (
        "SendMessage", _payload({"text": "a"}, taskId="task-999"), VERSION, 404, "TASK_NOT_FOUND", "",
    ),
    "an operation that is not of the protocol": ("Destroy", b"{}", VERSION, 400, "UNSUPPORTED_OPERATION", ""),
    "a task that does not exist": ("GetTask", b'{"id":"task-1"}', VERSION, 404, "TASK_NOT_FOUND", ""),
    "a task id that is no token": ("GetTask", b'{"id":"*.>"}', VERSION, 404, "TASK_NOT_FOUND", ""),
    "no version": ("SendMessage", GOOD, None, 400, "VERSION_NOT_SUPPORTED", ""),
    "another version": ("SendMessage", GOOD, {"A2A-Version": "0.3"}, 400, "VERSION_NOT_SUPPORTED", ""),
    "a deadline that has passed": (
        "SendMessage", GOOD, VERSION | {"Agentbus-Deadline": "1000"}, 408, "DEADLINE_EXCEEDED", "",
    ),
}  # fmt: skip


async def test_what_cannot_be_served_is_refused_by_name(fleet_bench: Bench) -> None:
    """Each refusal has its code and reason in the body and in the headers, and names the field that is wrong."""
    async with serving(fleet_bench, "textstats"):
        plain = await fleet_bench.attacker("ops")
        for what, (operation, payload, headers, code, reason, field) in REFUSALS.items():
            answer = await _ask(plain, operation, payload, headers)
            error, said = _error(answer), answer.headers or {}
            info, *more = error["details"]
            assert (error["code"], info["reason"]) == (code, reason), what
            assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
            assert said[names.SERVICE_ERROR_CODE] == str(code), what
            assert said[names.SERVICE_ERROR].startswith(f"{reason}: "), what
            assert said["A2A-Version"] == "1.0", what
            fields = [violation["field"] for detail in more for violation in detail["fieldViolations"]]
            assert (field in fields) if field else not any(fields), (what, fields)


async def test_a_refusal_reaches_a_caller_as_its_class(fleet_bench: Bench) -> None:
    """The product's client raises the class that the reason names, with the violations."""
    async with serving(fleet_bench, "textstats"):
        ops = await caller(fleet_bench)
        with pytest.raises(InvalidArgument) as refusal:
            await ops.send_message("textstats", sending({"text": ""}))
        assert [violation.field for violation in refusal.value.violations] == ["message.parts[0].data.text"]
        request = a2a.GetTaskRequest(id="x")
        with pytest.raises(UnsupportedOperation):
            await ops.call("textstats", "ForgetTask", request, a2a.Task, timeout_s=5)


@pytest.mark.parametrize(
    ("payload", "headers"),
    [
        (b'{"message":{"message_id":"m","role":"ROLE_USER","parts":[{"data":{"text":"a b"}}]}}', VERSION),
        (b'{"message":{"messageId":"m","role":"ROLE_USER","taskId":null,"parts":[{"data":{"text":"a b"}}]}}', VERSION),
        (b'{"new":1,"message":{"new":{},"messageId":"m","role":"ROLE_USER","parts":[{"data":{"text":"a b"}}]}}', VERSION),
        (_payload({"data": {"text": "a b"}}), {"a2a-version": "1.0"}),
    ],
    ids=["snake case", "nulls", "unknown fields", "a header in lower case"],
)  # fmt: skip
async def test_what_real_clients_send_is_understood(
    fleet_bench: Bench, payload: bytes, headers: dict[str, str]
) -> None:
    """Other spellings that clients of the protocol use mean the same."""
    async with serving(fleet_bench, "textstats"):
        plain = await fleet_bench.attacker("ops")
        answer = json.loads((await _ask(plain, "SendMessage", payload, headers)).data)
        assert answer["message"]["parts"][0]["data"]["words"] == 2


async def test_a_plain_client_needs_nothing_of_ours(fleet_bench: Bench) -> None:
    """A NATS client with an operator's key, one header and the request subject gets the answer on its own inbox."""
    async with serving(fleet_bench, "textstats"):
        plain = await fleet_bench.attacker("ops")
        answer = await _ask(plain, "SendMessage", GOOD, VERSION)
        message = json.loads(answer.data)["message"]
        assert answer.subject.startswith("_INBOX.ops.")
        assert (answer.headers or {}).get("Content-Type") == "application/a2a+json"
        assert message["role"] == "ROLE_AGENT"
        assert message["parts"][0]["data"]["words"] == 2
        assert plain.errors == []


@pytest.mark.parametrize("skill", [failing, impatient], ids=["ValueError", "its own time-out"])
async def test_a_handlers_error_is_internal_and_its_text_stays_inside(fleet_bench: Bench, skill: Any) -> None:
    """Whatever a handler raises, the caller learns that the agent failed, and nothing of the error's text."""
    async with serving(fleet_bench, "textstats", skill) as agent:
        plain = await fleet_bench.attacker("ops")
        answer = await _ask(plain, "SendMessage", _payload({"text": "a"}), VERSION)
        assert _error(answer)["details"][0]["reason"] == Internal.reason
        assert SECRET not in answer.data.decode() + str(answer.headers)
        ops = await caller(fleet_bench)
        with pytest.raises(Internal):
            await ops.send_message(agent.id, saying("a"))


@pytest.mark.parametrize("skill", [lying, boundless], ids=["another type", "over the limit of a part"])
async def test_an_answer_that_must_not_be_sent_is_the_agents_error(fleet_bench: Bench, skill: Any) -> None:
    """An answer of another type than declared, or too large to send, is InvalidAgentResponse; the agent lives on."""
    async with serving(fleet_bench, "textstats", skill, echo):
        ops = await caller(fleet_bench)
        with pytest.raises(InvalidAgentResponse):
            await ops.send_message("textstats", saying("a"))
        answer = await ops.send_message("textstats", saying("still here", skill="echo"))
        assert answer.message is not None
        assert answer.message.text() == "still here"


async def test_a_request_that_is_too_large_is_not_sent(fleet_bench: Bench) -> None:
    """A part over the limit of large parts is refused before anything is sent, and the connection stays."""
    async with serving(fleet_bench, "textstats", echo):
        ops = await caller(fleet_bench)
        with pytest.raises(PayloadTooLarge):
            await ops.send_message("textstats", saying("x" * (names.MAX_PART_BYTES + 1)))
        assert (await ops.send_message("textstats", saying("a"))).message is not None


@pytest.mark.timeout(20)
async def test_nobody_there_is_unavailable_at_once(fleet_bench: Bench) -> None:
    """An agent that nobody serves is Unavailable, not a time-out: an hour is allowed here, and not waited for."""
    ops = await caller(fleet_bench)
    with pytest.raises(Unavailable):
        await ops.send_message("textstats", saying("a"), timeout_s=3600)


async def test_a_deadline_cancels_the_work(fleet_bench: Bench) -> None:
    """When the caller's deadline passes, the caller is told and the handler is cancelled."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill):
        ops = await caller(fleet_bench)
        with pytest.raises(DeadlineExceeded):
            await ops.send_message("textstats", saying("a"), timeout_s=1.5)
        await gate.was_cancelled()


async def test_the_agent_itself_answers_that_a_deadline_passed(fleet_bench: Bench) -> None:
    """A caller that waits longer than its own deadline is answered 408 by the agent."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill):
        plain = await fleet_bench.attacker("ops")
        soon = {"Agentbus-Deadline": str(int(time.time() * 1000) + 1500)}
        answer = await _ask(plain, "SendMessage", _payload({"text": "a"}), VERSION | soon)
        assert _error(answer)["code"] == 408
        await gate.was_cancelled()


async def test_the_agents_own_limit_holds_without_a_deadline(fleet_bench: Bench) -> None:
    """A caller that names no deadline does not hold a place for ever."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill, bounds=Bounds(timeout_s=1.5)):
        plain = await fleet_bench.attacker("ops")
        answer = await _ask(plain, "SendMessage", _payload({"text": "a"}), VERSION)
        assert _error(answer)["details"][0]["reason"] == DeadlineExceeded.reason
        assert gate.cancelled == ["a"]


async def test_return_immediately_gives_a_task_that_its_caller_can_look_at(fleet_bench: Bench) -> None:
    """`returnImmediately` is answered by a task; it ends with an artifact, and nobody else can see it."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill):
        ops, other = await caller(fleet_bench), await caller(fleet_bench, "concierge")
        opened = (await ops.send_message("textstats", saying("a", return_immediately=True))).task
        assert opened is not None
        assert not opened.is_final
        await gate.has_entered()
        assert (await ops.get_task("textstats", opened.id)).status.state == a2a.WORKING
        with pytest.raises(TaskNotFound):
            await other.get_task("textstats", opened.id)
        gate.opened.set()

        async def ended() -> a2a.Task | None:
            task = await ops.get_task("textstats", opened.id)
            return task if task.is_final else None

        task = await until(ended)
        assert task is not None
        assert task.status.state == a2a.COMPLETED
        assert [part.text for artifact in task.artifacts for part in artifact.parts] == ["a"]
        assert [message.text() for message in task.history] == ["a"]
        bare = a2a.GetTaskRequest(id=opened.id, history_length=0)
        assert (await ops.call("textstats", "GetTask", bare, a2a.Task, timeout_s=5)).history == ()


async def test_a_background_task_outlives_the_deadline_of_its_request(fleet_bench: Bench) -> None:
    """The deadline of a request with `returnImmediately` is for its answer, not for the work that goes on."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill):
        ops = await caller(fleet_bench)
        opened = (await ops.send_message("textstats", saying("a", return_immediately=True), timeout_s=_ANSWERED_S)).task
        assert opened is not None
        given_up_at = time.time() + _ANSWERED_S
        await gate.has_entered()

        async def is_past_it() -> bool:
            return time.time() > given_up_at + 0.3

        await until(is_past_it, timeout_s=2 * _ANSWERED_S)
        assert gate.cancelled == []
        gate.opened.set()

        async def state() -> str:
            task = await ops.get_task("textstats", opened.id)
            return task.status.state if task.is_final else ""

        assert await until(state) == a2a.COMPLETED


async def test_an_ended_task_takes_no_message(fleet_bench: Bench) -> None:
    """A message for a task that has ended is UnsupportedOperation."""
    async with serving(fleet_bench, "textstats", echo):
        ops = await caller(fleet_bench)
        opened = (await ops.send_message("textstats", saying("a", return_immediately=True))).task
        assert opened is not None

        async def has_ended() -> bool:
            return (await ops.get_task("textstats", opened.id)).is_final

        await until(has_ended)
        message = a2a.Message(message_id="m", role="ROLE_USER", task_id=opened.id, parts=(a2a.Part(text="more"),))
        with pytest.raises(UnsupportedOperation):
            await ops.send_message("textstats", a2a.SendMessageRequest(message=message))


async def test_the_card_publishes_the_types_of_skills(fleet_bench: Bench) -> None:
    """The extended card has a JSON Schema for each side of a typed skill; real data matches it, bad data does not."""
    async with serving(fleet_bench, "textstats"):
        ops = await caller(fleet_bench)
        card = await ops.get_card("textstats")
        answer = await ops.send_message("textstats", sending({"text": "a b"}))
    assert (card.name, [skill.id for skill in card.skills]) == ("textstats", ["count"])
    assert card.capabilities.extended_agent_card
    extensions = {extension.uri: extension.params for extension in card.capabilities.extensions}
    schemas = extensions[a2a.TYPED_SKILLS_URI]["skills"]["count"]
    assert answer.message is not None
    jsonschema.validate({"text": "a b"}, schemas["input"])
    jsonschema.validate(answer.message.parts[0].data, schemas["output"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"text": ""}, schemas["input"])
    assert len(extensions[a2a.RELEASE_URI]["tree"]) == 40
