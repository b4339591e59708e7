"""`nats/BINDING.md` is true: a client made from it alone works, and each sample of the page is what agents answer."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from agents.skill import Context, skill
from bus.requests import spending
from bus.requests.flow import Bounds, Rate
from bus.server import MINIMUM
from schemas import a2a, names
from schemas.errors import WIRE_ERRORS
from schemas.ids import rfc3339
from schemas.subjects import FAMILIES, Heartbeat, Reply, Request, RollCall, Subject, Task, TaskEvent
from schemas.usage import Chain, Usage
from tests.contract.agents.skills import Gate, echo, endless, failing
from tests.contract.bus.binding_client import Away, BindingClient, Frame, Json, PartClient, Refused
from tests.contract.bus.test_streaming import tell
from tests.harness.agent import serving
from tests.harness.fleet import CHECKOUT, Bench, until

PAGE = (CHECKOUT / "nats" / "BINDING.md").read_text()
_BLOCK = re.compile(r"^```(json|frames) (\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@skill(description="Takes an order, and asks for the size.")
async def order(request: str, ctx: Context) -> str:
    return f"{request}: {(await ctx.input_required('Which size?')).text()}"


class Sample(NamedTuple):
    """A fenced block of the page: what it is, what its first line says beside that, and its text."""

    kind: str
    words: str
    text: str


SAMPLES = [Sample(kind, words, text) for _, kind, words, text in _BLOCK.findall(PAGE)]


def test_the_page_names_the_oldest_server_that_is_run() -> None:
    """An implementer needs no other server than this product does."""
    assert f"to NATS {'.'.join(map(str, MINIMUM))} or later" in PAGE


@dataclass
class Known:
    """What the page's `<names>` stand for, as far as the answers have told."""

    values: dict[str, str] = field(default_factory=dict)

    def filled(self, text: str) -> Any:
        """A sample with the values in the place of their names."""
        return json.loads(re.sub(r"<([^<>]+)>", lambda name: self.values[name[1]], text))

    def match(self, expected: Any, actual: Any, path: str = "$") -> None:
        """Fail unless `actual` is what the sample says; learn what its names stand for."""
        if isinstance(expected, str) and (name := re.fullmatch(r"<(.+)>", expected)):
            if name[1] in {"capabilities", "skills"}:
                assert actual, path
                return
            assert isinstance(actual, str), path
            assert actual, path
            assert self.values.setdefault(name[1], actual) == actual, path
        elif isinstance(expected, dict):
            assert isinstance(actual, dict), path
            assert list(actual) == list(expected) or set(actual) == set(expected), f"{path}: {actual} for {expected}"
            for key, value in expected.items():
                self.match(value, actual[key], f"{path}.{key}")
        elif isinstance(expected, list):
            assert isinstance(actual, list), path
            assert len(actual) == len(expected), f"{path}: {actual}"
            for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
                self.match(one, other, f"{path}[{number}]")
        else:
            assert actual == expected, path


def _frames(text: str) -> list[Frame]:
    """The frames of a sample: a line of headers each, and a line with the body where there is one."""
    frames: list[Frame] = []
    for line in text.splitlines():
        if line.startswith("{"):
            frames[-1] = Frame(frames[-1].headers, json.loads(line))
        else:
            frames.append(Frame(dict(pair.split(": ") for pair in line.split(", ")), None))
    return frames


@pytest.fixture
async def client(fleet_bench: Bench) -> AsyncIterator[BindingClient]:
    """The client of the page, with the operator's key."""
    seed = str(fleet_bench.home.credentials("ops") / names.BUS_CREDENTIAL)
    made = await BindingClient.connect(fleet_bench.server.url, "ops", seed)
    yield made
    await made.connection.close()


async def _answer(client: BindingClient, request: Sample, known: Known) -> Any:
    operation, _, header = request.words.partition(" ")
    body = known.filled(request.text)
    if operation in {"SendStreamingMessage", "SubscribeToTask"}:
        last = int(header.partition(": ")[2]) if header else None
        return [frame async for frame in client.stream("textstats", operation, body, last)]
    try:
        return await client.ask("textstats", operation, body)
    except Refused as refusal:
        return refusal


async def test_every_sample_is_what_agents_answer(fleet_bench: Bench, client: BindingClient) -> None:
    """The page's requests, sent one after the other, get the page's answers; all eleven operations are there."""
    known = Known()
    asked = [sample for sample in SAMPLES if sample.kind in {"request", "task"}]
    told = [
        sample for sample in SAMPLES if sample.kind not in {"request", "task", "heartbeat", "scheduled", "part", "cost"}
    ]
    operations = {sample.words.split(" ")[0] for sample in asked if sample.kind == "request"}
    assert operations == set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE))
    assert len(operations) == 11
    async with serving(fleet_bench, "textstats", echo, order, tell):
        for request, expected in zip(asked, told, strict=True):
            if request.kind == "task":
                known.match(json.loads(expected.text), await client.leave("textstats", json.loads(request.text)))
                continue
            answer = await _answer(client, request, known)
            if expected.kind == "error":
                assert answer.code == int(expected.words)
                known.match(json.loads(expected.text), answer.body)
            elif isinstance(answer, list):
                sample = _frames(expected.text)
                assert [frame.headers for frame in answer] == [frame.headers for frame in sample]
                known.match([frame.body for frame in sample], [frame.body for frame in answer])
            else:
                known.match(json.loads(expected.text), answer)


async def test_a_lost_frame_is_found_and_fetched(fleet_bench: Bench, client: BindingClient) -> None:
    """By the rules of section 6 a client that loses frames ends with every update once, in order."""
    async with serving(fleet_bench, "textstats", tell):
        request = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "20"}]}}
        found = await client.follow("textstats", request, lose=frozenset({7, 8}))
    assert [event for event, _ in found] == list(range(1, 24))
    texts = [body["artifactUpdate"]["artifact"]["parts"][0]["text"] for _, body in found if "artifactUpdate" in body]
    assert texts == [f"w{number} " for number in range(20)]


async def test_a_durable_task_is_done_when_the_agent_is_back(fleet_bench: Bench, client: BindingClient) -> None:
    """Section 8: left while nobody serves, known by its sequence, once for one key, done afterwards."""
    request = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "later"}]}}
    first = await client.leave("textstats", request, key="0b4f4c1e7d0a4c55")
    again = await client.leave("textstats", request, key="0b4f4c1e7d0a4c55")
    assert (again["seq"], again["duplicate"]) == (first["seq"], True)
    with pytest.raises(Away):
        await client.ask("textstats", "GetTask", {"id": f"task-{first['seq']}"})
    async with serving(fleet_bench, "textstats", echo):

        async def done() -> Json:
            try:
                task = await client.ask("textstats", "GetTask", {"id": f"task-{first['seq']}"})
            except Refused:
                return {}
            return task if task["status"]["state"] == "TASK_STATE_COMPLETED" else {}

        task = await until(done)
    assert task["artifacts"][0]["parts"] == [{"text": "later", "mediaType": "text/plain"}]


async def test_a_task_that_is_put_off_says_so_and_can_be_canceled(fleet_bench: Bench, client: BindingClient) -> None:
    """Section 8: a task with a time is SUBMITTED, as the page's sample, and CANCELED when its caller wants that."""
    (sample,) = [sample for sample in SAMPLES if sample.kind == "scheduled"]
    due_ms = int(time.time() * 1000) + 3_600_000
    async with serving(fleet_bench, "textstats", echo):
        left = await client.leave("textstats", MESSAGE, **{"Agentbus-Not-Before": str(due_ms)})
        identity = f"task-{left['seq']}"

        async def taken_up() -> Json:
            try:
                return await client.ask("textstats", "GetTask", {"id": identity, "historyLength": 0})
            except Refused:
                return {}

        task = await until(taken_up)
        known = Known({"task": identity, "due": rfc3339(due_ms * 1_000_000)})
        known.match(json.loads(sample.text), task)
        canceled = await client.ask("textstats", "CancelTask", {"id": identity})
    assert canceled["status"]["state"] == "TASK_STATE_CANCELED"


MESSAGE: Json = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "x"}]}}


class Refusal(NamedTuple):
    """What a client does wrong, and what it is told."""

    reason: str
    code: int
    operation: str
    body: Json
    headers: dict[str, str]


REFUSALS = [
    Refusal("INVALID_ARGUMENT", 400, "SendMessage", {"message": {"role": 5}}, {}),
    Refusal("INVALID_ARGUMENT", 400, "ListTasks", {"pageSize": 101}, {}),
    Refusal("INVALID_ARGUMENT", 400, "SendMessage", MESSAGE, {"Agentbus-Budget": "1e3"}),
    Refusal("DEADLINE_EXCEEDED", 408, "SendMessage", MESSAGE, {"Agentbus-Deadline": "1"}),
    Refusal("TASK_NOT_FOUND", 404, "CancelTask", {"id": "t-none"}, {}),
    Refusal("UNSUPPORTED_OPERATION", 400, "MakeCoffee", {}, {}),
    Refusal("VERSION_NOT_SUPPORTED", 400, "SendMessage", MESSAGE, {"A2A-Version": "0.3"}),
    Refusal("VERSION_NOT_SUPPORTED", 400, "SendMessage", MESSAGE, {"A2A-Version": ""}),
]


@pytest.mark.parametrize("wrong", REFUSALS)
async def test_a_refusal_is_the_error_of_the_table(fleet_bench: Bench, client: BindingClient, wrong: Refusal) -> None:
    """What a client can do wrong is answered with the page's reason, number and domain."""
    async with serving(fleet_bench, "textstats", echo):
        with pytest.raises(Refused) as refusal:
            await client.ask("textstats", wrong.operation, wrong.body, **wrong.headers)
    assert (refusal.value.reason, refusal.value.code) == (wrong.reason, wrong.code)
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{wrong.reason}` |"))
    assert [cell.strip() for cell in row.split("|")][2:4] == [str(wrong.code), refusal.value.info["domain"]]


async def test_ended_tasks_and_failures_are_the_errors_of_the_table(fleet_bench: Bench, client: BindingClient) -> None:
    """TASK_NOT_CANCELABLE of an ended task, RATE_LIMITED with a time, INTERNAL without the handler's words."""
    limited = Bounds(rate=Rate(per_s=0.001, burst=2))
    async with serving(fleet_bench, "textstats", tell, failing, bounds=limited):
        frames = [frame async for frame in client.stream("textstats", "SendStreamingMessage", _saying("1"))]
        assert frames[0].body is not None
        task = frames[0].body["task"]["id"]
        with pytest.raises(Refused) as ended:
            await client.ask("textstats", "CancelTask", {"id": task})
        with pytest.raises(Refused) as failed:
            await client.ask("textstats", "SendMessage", _saying("x", skill="failing"))
        with pytest.raises(Refused) as limit:
            await client.ask("textstats", "SendMessage", _saying("x"))
    assert ended.value.reason == "TASK_NOT_CANCELABLE"
    assert (failed.value.reason, "hunter2" in str(failed.value.body)) == ("INTERNAL", False)
    assert (limit.value.code, float(limit.value.info["metadata"]["retry_after_s"]) > 0) == (429, True)


def _saying(text: str, skill: str = "") -> Json:
    message: Json = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": text}]}
    return {"message": message | ({"metadata": {"skill": skill}} if skill else {})}


async def test_a_deadline_cancels_the_work(fleet_bench: Bench, client: BindingClient) -> None:
    """`Agentbus-Deadline` is absolute: when it passes, the answer is 408 and the handler was stopped."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill):
        soon = {"Agentbus-Deadline": str(int(time.time() * 1000) + 200)}
        with pytest.raises(Refused) as refusal:
            await client.ask("textstats", "SendMessage", _saying("x"), **soon)
        await gate.was_cancelled()
    assert refusal.value.reason == "DEADLINE_EXCEEDED"


@skill(description="Costs what the page's sample says.")
async def pay(request: str, ctx: Context) -> str:
    account = spending.current()
    assert account is not None
    account.used(Usage(input_tokens=11, output_tokens=7, cost_usd=Decimal("0.000145"), model="m-1"))
    account.told(Chain(requests=2, input_tokens=30, output_tokens=9, cost_usd=Decimal("0.0004")))
    return str(ctx.budget.left)


async def test_the_cost_of_an_answer_is_the_sample(fleet_bench: Bench, client: BindingClient) -> None:
    """Section 14: what the header says may be spent, and what was spent stands in the answer's metadata."""
    (sample,) = [json.loads(sample.text) for sample in SAMPLES if sample.kind == "cost"]
    async with serving(fleet_bench, "textstats", pay):
        answer = await client.ask("textstats", "SendMessage", MESSAGE, **{"Agentbus-Budget": "0.25"})
    assert answer["message"]["parts"][0]["text"] == "0.25"
    assert answer["message"]["metadata"] == sample


async def test_the_sample_of_a_large_part_is_read(fleet_bench: Bench, client: BindingClient) -> None:
    """A part that was stored as the page says is text for the agent; what the agent stored is read as the page says."""
    (sample,) = [json.loads(sample.text) for sample in SAMPLES if sample.kind == "part"]
    seed = str(fleet_bench.home.credentials("ops") / names.OWN_CREDENTIAL)
    parts = await PartClient.connect(fleet_bench.server.url, seed)
    part = sample["url"].rpartition(":")[2]
    await parts.put("textstats", part, b"hello world")
    message = {"messageId": "1", "role": "ROLE_USER", "parts": [sample], "metadata": {"skill": "echo"}}
    async with serving(fleet_bench, "textstats", echo, endless):
        answer = await client.ask("textstats", "SendMessage", {"message": message})
        large = await client.ask("textstats", "SendMessage", _saying("x", skill="endless"))
    content = await parts.get("textstats", "ops", large["message"]["parts"][0])
    await parts.connection.close()
    assert answer["message"]["parts"] == [{"text": "hello world", "mediaType": "text/plain"}]
    assert content == b"x" * 2_000_000
    assert a2a.LARGE_PARTS_URI in sample["metadata"]


def test_the_page_has_every_name() -> None:
    """Subjects, headers, errors and the URI: what the code uses between callers and agents is on the page."""
    internal = {names.RUN, names.SIGNATURE, names.SIGNATURE_AFTER, names.SIGNATURE_PARTS, names.SIGNATURE_KEY}
    headers = {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and value.startswith("Agentbus-")
    } - internal
    public: set[type[Subject]] = {Request, Reply, Task, TaskEvent, Heartbeat, RollCall}
    assert public <= set(FAMILIES)
    subjects = {re.sub(r"\{(\w+)\}", r"<\1>", family.template) for family in public}
    subjects = {subject.replace("<operation>", "<Operation>") for subject in subjects}
    standard = {names.A2A_VERSION, names.CONTENT_TYPE, names.TRACEPARENT, names.MSG_ID}
    standard |= {names.SERVICE_ERROR, names.SERVICE_ERROR_CODE}
    for name in (*headers, *standard, *subjects, *WIRE_ERRORS, a2a.BINDING_URI):
        assert f"`{name}`" in PAGE, name
    for marker in names.JETSTREAM_DELIVERY_HEADERS:
        assert f"`{marker}`" in PAGE.lower(), marker
