"""Several messages in one task: a model sees the conversation, and a skill can read it."""

from __future__ import annotations

import msgspec
import pytest

from agents.llm import AssistantTurn, UserTurn
from agents.runtime.loading.declared import turns_of
from agents.skill import Context, skill
from bus.tasks.states import TaskRecord
from schemas import a2a
from tests.harness.agent import caller, saying, serving
from tests.harness.fake_llm import CallTool, Gate, Held, Say
from tests.harness.fleet import until
from tests.harness.model_agent import ModelStage

AGENT = """\
agent: {id: greeter, description: Talks., version: 1.0.0}
llm:
  system_prompt: You talk.
  pool: [{provider: openai, model: m, api_key: 'file:KEY', base_url: 'URL'}]
tools: [propose_change]
"""


def _heard(talk: ModelStage) -> list[list[tuple[str, str]]]:
    """Role and text of each turn that each request to the model had, without the system prompt."""
    return [
        [(turn["role"], turn.get("content") or "") for turn in request.body["messages"][1:]]
        for request in talk.fake.requests
    ]


pytestmark = pytest.mark.asyncio(loop_scope="module")


def _more(text: str, task: a2a.Task) -> a2a.SendMessageRequest:
    request = saying(text)
    return msgspec.structs.replace(request, message=msgspec.structs.replace(request.message, task_id=task.id))


async def _begun(talk: ModelStage, text: str) -> a2a.Task:
    task = (await talk.ops.send_message("greeter", saying(text, return_immediately=True))).task
    assert task is not None
    return task


def _answer(task: a2a.Task | None) -> str:
    assert task is not None
    assert task.status.state == a2a.COMPLETED
    return "".join(part.text for part in task.artifacts[0].parts if isinstance(part.text, str))


async def test_what_is_added_while_the_model_answers_is_answered_too(talk: ModelStage) -> None:
    """The model is asked again with both messages, and the answer that nobody saw is no turn of the conversation."""
    gate = Gate()
    talk.fake.script = [Held(Say("Paris."), gate), Say("Paris and Rome.")]
    task = await _begun(talk, "Capital of France?")
    await gate.reached.wait()
    added = await talk.ops.send_message(
        "greeter",
        msgspec.structs.replace(
            _more("And of Italy?", task), configuration=a2a.SendMessageConfiguration(return_immediately=True)
        ),
    )
    assert added.task is not None
    gate.release.set()

    async def has_ended() -> bool:
        return (await talk.ops.get_task("greeter", task.id)).is_final

    await until(has_ended)
    assert _answer(await talk.ops.get_task("greeter", task.id)) == "Paris and Rome."
    assert _heard(talk) == [
        [("user", "Capital of France?")],
        [("user", "Capital of France?"), ("user", "And of Italy?")],
    ]


async def test_a_waiting_task_goes_on_in_its_conversation(talk: ModelStage) -> None:
    """The next message to a task that waits reaches the model behind what was said before, the question as its own."""
    book = talk.agent.book
    task = await _begun_and_waiting(talk)
    talk.fake.script = [Say("A large shirt, then.")]
    done = (await talk.ops.send_message("greeter", _more("large", task))).task
    assert _answer(done) == "A large shirt, then."
    assert _heard(talk)[-1] == [("user", "a shirt"), ("assistant", "Which size?"), ("user", "large")]
    assert (await book.get("ops", task.id)).history[0].parts[0].text == "a shirt"


async def _begun_and_waiting(talk: ModelStage) -> a2a.Task:
    """A task that its agent has asked something: stored as an instance that asked leaves it."""
    context = "c-shirts"
    messages = (
        a2a.Message(message_id="1", role="ROLE_USER", context_id=context, parts=(a2a.Part(text="a shirt"),)),
        a2a.Message(message_id="2", role="ROLE_AGENT", context_id=context, parts=(a2a.Part(text="Which size?"),)),
    )
    empty = a2a.Task(
        id="t-shirts", context_id=context, status=a2a.TaskStatus(state=a2a.SUBMITTED), history=messages[:1]
    )
    record = TaskRecord("ops", empty, revision=0, event=0, is_durable=False)
    await talk.agent.book.save(record, a2a.SUBMITTED)
    await talk.agent.book.save(record, a2a.INPUT_REQUIRED, message=messages[1], history=messages[1:])
    return record.task


async def test_tools_that_ran_stay_told_when_something_is_added(talk: ModelStage) -> None:
    """A tool's effect cannot be taken back, so the model that is asked again sees its call and result."""
    gate = Gate()
    call = CallTool("no_such_tool", {})
    talk.fake.script = [call, Held(Say("Done."), gate), Say("Both done.")]
    task = await _begun(talk, "Do it.")
    await gate.reached.wait()
    later = msgspec.structs.replace(
        _more("And that.", task), configuration=a2a.SendMessageConfiguration(return_immediately=True)
    )
    await talk.ops.send_message("greeter", later)
    gate.release.set()

    async def has_ended() -> bool:
        return (await talk.ops.get_task("greeter", task.id)).is_final

    await until(has_ended)
    assert _answer(await talk.ops.get_task("greeter", task.id)) == "Both done."
    assert [role for role, _ in _heard(talk)[-1]] == ["user", "assistant", "tool", "user"]
    assert _heard(talk)[-1][-1] == ("user", "And that.")


async def test_turns_are_texts_and_data() -> None:
    """Data becomes JSON; what a model cannot read is left out; a caller's words are never the assistant's."""
    messages = (
        a2a.Message(message_id="1", role="ROLE_AGENT", parts=(a2a.Part(text="Which?"),)),
        a2a.Message(message_id="2", role="ROLE_USER", parts=(a2a.Part(text="This:"), a2a.Part(data={"size": 4}))),
        a2a.Message(message_id="3", role="ROLE_USER", parts=(a2a.Part(raw=b"x"),)),
    )
    assert turns_of(messages) == (AssistantTurn(text="Which?"), UserTurn(text='This:\n{"size":4}'))


async def test_a_skill_reads_its_conversation(talk: ModelStage) -> None:
    """`history` has the caller's messages and the agent's questions in order, `context_id` is the task's, the caller's."""

    @skill(description="Says what was said.", id="said")
    async def said(request: str, ctx: Context) -> str:
        await ctx.input_required("More?")
        return " | ".join([ctx.context_id, *(f"{message.role}: {message.text()}" for message in ctx.history)])

    async with serving(talk.bench, "textstats", said) as agent:
        ops = await caller(talk.bench)
        asked = (await ops.send_message(agent.id, saying("one", context="c-mine"))).task
        assert asked is not None
        done = (await ops.send_message(agent.id, _more("two", asked))).task
    assert _answer(done) == "c-mine | ROLE_USER: one | ROLE_AGENT: More? | ROLE_USER: two"


async def test_a_request_has_a_conversation_of_one_message(talk: ModelStage) -> None:
    """Without a task `history` is the message; a conversation that the caller did not name is the one in the answer."""

    @skill(description="Says what was said.", id="said")
    async def said(request: str, ctx: Context) -> str:
        return " ".join([ctx.context_id, *(message.text() for message in ctx.history)])

    async with serving(talk.bench, "textstats", said) as agent:
        ops = await caller(talk.bench)
        answers = [(await ops.send_message(agent.id, saying("one", context=name))).message for name in ("c-mine", "")]
    texts = [answer.text() for answer in answers if answer]
    assert texts[0] == "c-mine one"
    assert answers[1] is not None
    assert answers[1].context_id
    assert texts[1] == f"{answers[1].context_id} one"
