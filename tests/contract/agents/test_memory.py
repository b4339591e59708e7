"""An agent that remembers: over a real server and real HTTP, by caller and conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from agents.memory.session import decode
from bus.errors import StorageFull
from bus.requests.caller import Caller
from bus.sessions import SessionStore, notes_key, session_key
from schemas import a2a
from schemas.errors import InvalidArgument, TaskNotFound, Unavailable
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.fake_llm import CallTool, Fail, FakeLlm, Gate, Held, Say
from tests.harness.fleet import Bench, bench, until
from tests.harness.model_agent import ModelStage, filled_in

AGENT = """\
agent: {id: greeter, description: Remembers., version: 1.0.0}
llm:
  system_prompt: You remember.
  pool: [{provider: openai, model: m, api_key: 'file:KEY', base_url: 'URL'}]
memory: {context_window_size: 2000, compression_token_threshold: 200}
safety: {max_input_chars: 50000}
tools: [note, recall]
"""


Stage = tuple[Bench, Agent, Caller]


@pytest.fixture
def fake(talk: ModelStage) -> FakeLlm:
    return talk.fake


@pytest_asyncio.fixture(loop_scope="module")
async def stage(talk: ModelStage) -> Stage:
    """Nothing is remembered of those who ask."""
    store = SessionStore(talk.agent.own)
    for who in ("ops", "concierge"):
        for key in (notes_key(who), *(session_key(who, context) for context in ("c-1", "c-2"))):
            await store.delete(key)
    return talk.bench, talk.agent, talk.ops


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def said(ops: Caller, text: str, context: str = "c-1") -> str:
    """The answer to `text` in a conversation."""
    response = await ops.send_message("greeter", saying(text, context=context))
    assert response.message is not None
    assert response.message.context_id == context
    return response.message.text()


async def ended(ops: Caller, task: str) -> None:
    """Wait for a task to be completed."""

    async def look() -> bool:
        try:
            return (await ops.get_task("greeter", task)).status.state == a2a.COMPLETED
        except TaskNotFound:
            return False

    await until(look)


def told(fake: FakeLlm, number: int = -1) -> list[str]:
    """What the model was told in a request, without the prompt."""
    messages: list[dict[str, Any]] = fake.requests[number].body["messages"]
    return [message["content"] for message in messages if message["role"] != "system"]


async def test_a_conversation_is_remembered_for_its_caller_alone(fake: FakeLlm, stage: Stage) -> None:
    """The same contextId of another caller, and another contextId of the same one, begin with nothing."""
    running, _, ops = stage
    fake.script = [Say(str(number)) for number in range(5)]
    await said(ops, "I am Ada.")
    assert await said(ops, "Who am I?") == "1"
    assert told(fake) == ["I am Ada.", "0", "Who am I?"]
    await said(await caller(running, "concierge"), "Who am I?")
    assert told(fake) == ["Who am I?"]
    await said(ops, "Who am I?", context="c-2")
    assert told(fake) == ["Who am I?"]
    await said(ops, "Still?")
    assert told(fake) == ["I am Ada.", "0", "Who am I?", "1", "Still?"]


async def test_a_message_that_is_repeated_is_remembered_once(fake: FakeLlm, stage: Stage) -> None:
    """A caller that got no answer sends the same message again: the first answer is not told to the model."""
    _, _, ops = stage
    fake.script = [Say(str(number)) for number in range(3)]
    request = saying("once", context="c-1")
    await ops.send_message("greeter", request)
    await ops.send_message("greeter", request)
    assert told(fake) == ["once"]
    await said(ops, "and now?")
    assert told(fake) == ["once", "1", "and now?"]


async def test_a_task_is_part_of_its_conversation(fake: FakeLlm, stage: Stage) -> None:
    """What was asked as a task, or left as one, is remembered like a message."""
    _, _, ops = stage
    fake.script = [Say(str(number)) for number in range(3)]
    response = await ops.send_message("greeter", saying("as a task", context="c-1", return_immediately=True))
    assert response.task is not None
    await ended(ops, response.task.id)
    await ended(ops, await ops.leave_task("greeter", saying("left", context="c-1")))
    await said(ops, "and now?")
    assert told(fake) == ["as a task", "0", "left", "1", "and now?"]


async def test_two_at_once_are_both_remembered(fake: FakeLlm, stage: Stage) -> None:
    """Both begin with what was said before; the one that ends second comes after the first."""
    _, _, ops = stage
    gates = Gate(), Gate()
    fake.script = [Say("0"), Held(Say("slow"), gates[0]), Held(Say("fast"), gates[1]), Say("3")]
    await said(ops, "before")
    async with asyncio.TaskGroup() as group:
        group.create_task(said(ops, "first"))
        await gates[0].reached.wait()
        second = group.create_task(said(ops, "second"))
        await gates[1].reached.wait()
        gates[1].release.set()
        await second
        gates[0].release.set()
    await said(ops, "after")
    assert told(fake) == ["before", "0", "second", "fast", "first", "slow", "after"]


async def test_a_long_conversation_is_summarised(fake: FakeLlm, stage: Stage) -> None:
    """What is oldest is put away, word for word; the model is told a summary, and the trail how much it was."""
    _, agent, ops = stage
    long = "word " * 150
    fake.default = Say(long)
    count = 0
    while not any("You write the summary" in str(request.body["messages"][0]) for request in fake.requests):
        await said(ops, f"{count} {long}")
        count += 1
        assert count < 20
    fake.default = Say("ok")
    await said(ops, "and now?")
    assert "earlier messages of this conversation are not shown" in told(fake)[0]
    assert long.strip() in told(fake)[0]
    assert told(fake)[-1] == "and now?"
    stored = decode((await SessionStore(agent.own).get(session_key("ops", "c-1"))).value)
    first = stored.archived[0].turn
    assert getattr(first, "text", "") == f"0 {long}"
    assert stored.summary_prompt == "summary-v1"
    events = await trail(stage[0], agent, kind="memory.compacted")
    assert events[0].data.metadata["summary"] == "summary-v1"
    assert events[0].data.resource == "ops"


async def test_a_pinned_message_stays(fake: FakeLlm, stage: Stage) -> None:
    """What its caller marked is told to the model word for word, behind what stands for the rest."""
    _, _, ops = stage
    fake.default = Say("word " * 120)
    request = saying("Answer in French.", context="c-1")
    pinned = msgspec.structs.replace(request.message, metadata={"urn:agentbus:pinned": True})
    await ops.send_message("greeter", msgspec.structs.replace(request, message=pinned))
    while "are not shown" not in told(fake)[0]:
        await said(ops, "more " * 120)
    assert told(fake)[1] == "Answer in French."


async def test_a_model_that_refuses_is_asked_again_with_less(fake: FakeLlm, stage: Stage) -> None:
    """A window that is smaller than the file says: what is oldest goes, and the same question is answered."""
    _, _, ops = stage
    fake.default = Say("word " * 20)
    for number in range(6):
        await said(ops, f"{number} " + "more " * 20)
    before = len(told(fake))
    fake.script = [Fail(400, "invalid_request_error", "context_length_exceeded"), Say("ok")]
    assert await said(ops, "and now?") == "ok"
    assert "are not shown" in told(fake)[0]
    assert len(told(fake)) < before
    assert told(fake)[-1] == "and now?"


async def test_what_was_put_away_can_be_recalled(fake: FakeLlm, stage: Stage) -> None:
    """In the conversation that it is of, word for word, by the tool that the notice names."""
    _, _, ops = stage
    fake.default = Say("word " * 150)
    await said(ops, "My dog is called Rex. " + "word " * 100)
    while "are not shown. The tool recall" not in told(fake)[0]:
        await said(ops, "more " * 150)
    fake.script = [CallTool("recall", {"words": "dog called"}), Say("Rex.")]
    assert await said(ops, "What is my dog's name?") == "Rex."
    assert "My dog is called Rex." in told(fake)[-1]
    fake.script = [CallTool("recall", {"words": "dog"}), Say("I do not know.")]
    await said(ops, "And my dog?", context="c-2")
    assert "nothing else can be found" in told(fake)[-1]


async def test_notes_outlast_a_conversation(fake: FakeLlm, stage: Stage) -> None:
    """They are their caller's alone; the trail has their intent, and nothing of what they say."""
    running, agent, ops = stage
    fake.script = [CallTool("note", {"do": "write", "name": "dog", "text": "His dog is Rex."}), Say("Noted.")]
    await said(ops, "My dog is called Rex.")
    read = CallTool("note", {"do": "read", "name": "dog"}, more=(("note", {"do": "list"}),))
    fake.script = [read, Say("Rex.")]
    await said(ops, "And my dog?", context="c-2")
    assert "in a conversation with ops]\nHis dog is Rex." in told(fake)[-2]
    assert "dog: 15 characters, " in told(fake)[-1]
    fake.script = [read, Say("Nobody told me.")]
    await said(await caller(running, "concierge"), "And his dog?")
    assert "there is no note 'dog'; there are: none" in told(fake)[-2]
    events = await trail(running, agent)
    assert [event.data.action for event in events if event.short_type == "tool.intended"] == ["note"] * 5
    assert b"Rex" not in msgspec.json.encode(events)
    assert b"dog" not in msgspec.json.encode(events)


async def test_an_agent_without_memory_answers_one_that_refuses_too(fake: FakeLlm, tmp_path: Path) -> None:
    """Within a task, whose turns with tools have grown too long; and nothing is stored."""
    file = filled_in(AGENT, fake, tmp_path).split("memory:")[0] + "tools: [note]\n"
    fake.script = [CallTool("note", {"do": "list"}, text="x" * 3_000) for _ in range(6)]
    fake.script += [Fail(400, "invalid_request_error", "context_length_exceeded"), Say("ok")]
    async with bench(tmp_path, agents={"greeter": (file, "")}) as running, serving(running, "greeter") as agent:
        assert await said(await caller(running), "go") == "ok"
        assert (await SessionStore(agent.own).get(session_key("ops", "c-1"))).value == b""
    assert "are not shown.]" in told(fake)[0]
    assert told(fake)[1] == "go"


async def test_a_conversation_of_a_newer_version_is_refused(fake: FakeLlm, stage: Stage) -> None:
    """No model is asked, and the caller may try again: an instance that was upgraded may answer."""
    _, agent, ops = stage
    value = msgspec.json.encode({"version": 99})
    await SessionStore(agent.own).change(session_key("ops", "c-1"), lambda _: value, ttl_s=60)
    with pytest.raises(Unavailable, match="newer agentbus"):
        await said(ops, "hello")
    assert fake.requests == []


async def test_a_contextid_is_bounded(fake: FakeLlm, stage: Stage) -> None:
    """One that would not fit beside the conversation is refused before a model is asked."""
    _, _, ops = stage
    with pytest.raises(InvalidArgument, match="shorter contextId"):
        await said(ops, "hello", context="c" * 513)
    assert fake.requests == []


async def test_a_conversation_that_cannot_be_stored_is_answered(fake: FakeLlm, tmp_path: Path) -> None:
    """A full bucket costs the memory of an answer, not the answer."""
    agents = {"greeter": (filled_in(AGENT, fake, tmp_path), "")}
    async with bench(tmp_path, agents=agents) as running, serving(running, "greeter") as agent:
        await _answered_without_room(fake, agent, await caller(running))


async def _answered_without_room(fake: FakeLlm, agent: Agent, ops: Caller) -> None:
    store = SessionStore(agent.own)

    async def fill(size: int) -> None:
        for number in range(100):
            await store.change(session_key("ops", f"{size}-{number}"), lambda _: b"x" * size, ttl_s=600)

    for size in (1_000_000, 20_000):
        with pytest.raises(StorageFull):
            await fill(size)
    fake.default = Say("hello")
    assert await said(ops, "x" * 40_000) == "hello"
    assert (await store.get(session_key("ops", "c-1"))).value == b""
