"""The loop over real HTTP: tools, limits, steps, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents.context import Context
from agents.llm import (
    AllFailed,
    AssistantTurn,
    Pool,
    SystemPrompt,
    Tool,
    ToolTurn,
    TooManyRounds,
    Turn,
    UserTurn,
)
from agents.llm.errors import ContextOverflow, Overloaded
from agents.loop import Bounds, Conversation, Stepped, converse
from agents.tools.row import Row, Run
from schemas.a2a import JsonObject
from schemas.agent import Llm, ModelChoice
from schemas.documents import Document
from schemas.errors import InvalidDocument
from tests.harness.fake_llm import CallTool, Fail, FakeLlm, Say, Wire
from tests.harness.toolbox import conversation

ENVIRONMENT = {"TEST_KEY": "sk-test-0123456789abcdef"}
PROMPT = SystemPrompt(Llm(system_prompt="Answer.", pool=(ModelChoice(provider="offline"),)))
BOTH = pytest.mark.parametrize("wire", ["openai", "anthropic"])


class Sum(Document):
    """Input of the tool `add`."""

    a: int
    b: int


ADD = Tool(name="add", description="Add two numbers.", input=Sum)


@asynccontextmanager
async def pool_of(*choices: ModelChoice) -> AsyncIterator[Pool]:
    pool = Pool.from_choices(choices, request_timeout_s=20, environment=ENVIRONMENT)
    yield pool
    await pool.close()


def choice(wire: Wire, fake: FakeLlm, model: str = "m-1") -> ModelChoice:
    url = fake.openai_url if wire == "openai" else fake.anthropic_url
    return ModelChoice(provider=wire, model=model, api_key="env:TEST_KEY", base_url=url)


async def add(arguments: Sum, _: Context) -> str:
    return str(arguments.a + arguments.b)


def asking(pool: Pool, run: Run, **more: Any) -> Conversation:
    return conversation(pool, PROMPT, "add", Row(ADD, run, has_effects=False), **more)


@BOTH
async def test_loop_runs_tools_until_text(wire: Wire, fake: FakeLlm) -> None:
    """Calls are run in order with checked arguments, their results go back, and the text ends it."""
    fake.script += [CallTool("add", {"a": 1, "b": 2}, more=(("add", {"a": 3, "b": 4}),)), Say("3 and 7")]
    async with pool_of(choice(wire, fake)) as pool:
        reply = await converse(asking(pool, add))
    assert (reply.text, reply.rounds) == ("3 and 7", 1)
    assert [type(turn) for turn in reply.turns] == [UserTurn, AssistantTurn, ToolTurn, AssistantTurn]
    results = reply.turns[2]
    assert isinstance(results, ToolTurn)
    assert [result.text for result in results.results] == ["3", "7"]


@BOTH
async def test_wrong_calls_are_answered_to_the_model(wire: Wire, fake: FakeLlm) -> None:
    """An unknown tool, an unknown key and a wrong type come back as errors that name what is wrong; nothing runs."""
    ran: list[str] = []

    async def run(_: Any, __: Context) -> str:
        ran.append("add")
        return "ran"

    wrong: tuple[tuple[str, dict[str, Any] | str], ...] = (
        ("add", {"a": 1, "bb": 2}),
        ("add", {"a": "x", "b": 2}),
        ("add", {}),
    )
    fake.script += [CallTool("subtract", {"a": 1}, more=wrong), Say("sorry")]
    async with pool_of(choice(wire, fake)) as pool:
        reply = await converse(asking(pool, run))
    results = reply.turns[2]
    assert isinstance(results, ToolTurn)
    assert all(result.is_error for result in results.results)
    texts = [result.text for result in results.results]
    assert texts[0] == "there is no tool 'subtract'; there are: add"
    assert "bb: unknown key; did you mean 'b'?" in texts[1]
    assert texts[2].startswith("add: a: ")
    assert "a: is missing" in texts[3]
    assert ran == []
    assert "did you mean" in str(fake.requests[1].body)


async def test_broken_json_arguments_are_answered_to_the_model(fake: FakeLlm) -> None:
    """Arguments that are not JSON never reach the tool."""
    fake.script += [CallTool("add", '{"a": 1,'), Say("sorry")]
    async with pool_of(choice("openai", fake)) as pool:
        reply = await converse(asking(pool, add))
    results = reply.turns[2]
    assert isinstance(results, ToolTurn)
    assert results.results[0].is_error
    assert "not JSON" in results.results[0].text


async def test_refusal_of_a_tool_is_told_and_a_fault_is_not(fake: FakeLlm) -> None:
    """An `AgentbusError` of a tool is advice for the model; any other exception ends the conversation."""

    async def refuse(_: Any, __: Context) -> str:
        raise InvalidDocument("the text to find occurs twice")

    async def break_down(_: Any, __: Context) -> str:
        raise ZeroDivisionError

    call = CallTool("add", {"a": 1, "b": 2})
    fake.script += [call, Say("sorry"), call]
    async with pool_of(choice("anthropic", fake)) as pool:
        reply = await converse(asking(pool, refuse))
        with pytest.raises(ZeroDivisionError):
            await converse(asking(pool, break_down))
    results = reply.turns[2]
    assert isinstance(results, ToolTurn)
    assert (results.results[0].text, results.results[0].is_error) == ("the text to find occurs twice", True)


async def test_rounds_are_bounded(fake: FakeLlm) -> None:
    """A model that never stops asking for tools is stopped; the tools of the rounds it had did run."""
    ran: list[str] = []

    async def run(_: Any, __: Context) -> str:
        ran.append("add")
        return "0"

    fake.default = CallTool("add", {"a": 0, "b": 0})
    async with pool_of(choice("openai", fake)) as pool:
        with pytest.raises(TooManyRounds, match="max_iterations"):
            await converse(asking(pool, run, bounds=Bounds(max_iterations=3)))
    assert ran == ["add"] * 3
    assert len(fake.requests) == 4


async def test_long_results_are_cut_with_a_mark(fake: FakeLlm) -> None:
    """A tool cannot fill the model's window: a result over the cap is cut and says so."""

    async def shout(_: Any, __: Context) -> str:
        return "x" * 50_000

    fake.script += [CallTool("add", {"a": 0, "b": 0}), Say("ok")]
    async with pool_of(choice("openai", fake)) as pool:
        reply = await converse(asking(pool, shout))
    results = reply.turns[2]
    assert isinstance(results, ToolTurn)
    assert len(results.results[0].text) < 20_100
    assert results.results[0].text.endswith("[cut: 50000 characters, 20000 shown]")


async def test_cancelling_reaches_the_tool(fake: FakeLlm) -> None:
    """Cancelling the conversation cancels the tool that runs, and asks the model nothing more."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def wait_forever(_: Any, __: Context) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    fake.script.append(CallTool("add", {"a": 0, "b": 0}))
    async with pool_of(choice("openai", fake)) as pool:
        talking = asyncio.create_task(converse(asking(pool, wait_forever)))
        await asyncio.wait_for(started.wait(), 20)
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
    assert stopped.is_set()
    assert len(fake.requests) == 1


async def test_failover_keeps_the_conversation_valid(fake: FakeLlm) -> None:
    """A tool call made by one provider's model can be continued by another's."""
    fake.script += [CallTool("add", {"a": 1, "b": 2}), Fail(403, "permission_error"), Say("3")]
    async with pool_of(choice("anthropic", fake), choice("openai", fake)) as pool:
        reply = await converse(asking(pool, add))
    assert reply.text == "3"
    assert [request.wire for request in fake.requests] == ["anthropic", "anthropic", "openai"]


async def test_every_step_is_told_in_order(fake: FakeLlm) -> None:
    """Each transition is told with the round it is in, and the last one with what the whole took."""
    fake.script += [CallTool("add", {"a": 1, "b": 2}, more=(("add", {"a": 3, "b": 4}),)), Say("3 and 7")]
    steps: list[Stepped] = []
    async with pool_of(choice("openai", fake)) as pool:
        await converse(asking(pool, add, on_step=steps.append))
    assert [(step.transition.trigger.value, step.round) for step in steps] == [
        ("begun", 0),
        ("answered", 0),
        ("tools_wanted", 1),
        ("ran", 1),
        ("next_call", 1),
        ("ran", 1),
        ("all_told", 1),
        ("answered", 1),
        ("finished", 1),
    ]
    assert [step.sums for step in steps[:-1]] == [None] * 8
    sums = steps[-1].sums
    assert sums is not None
    assert sums.tool_calls == 2


async def test_a_failure_is_the_last_step(fake: FakeLlm) -> None:
    """A conversation that ends by an error is told with it, from the state in which it was."""
    fake.script.append(Fail(503))
    steps: list[Stepped] = []
    async with pool_of(choice("openai", fake)) as pool:
        with pytest.raises(Exception, match="no model of the pool answered"):
            await converse(asking(pool, add, on_step=steps.append))
    assert [step.transition for step in steps][-1] == ("send_message", "failed", "end_conversation")
    assert isinstance(steps[-1].error, AllFailed)
    assert isinstance(steps[-1].error.failures[0], Overloaded)


async def test_calls_over_the_limit_do_not_run(fake: FakeLlm) -> None:
    """`max_tool_calls` counts over all turns; the model is told, and answers with what it has."""
    ran: list[str] = []

    async def run(_: Any, __: Context) -> str:
        ran.append("add")
        return "0"

    call = CallTool("add", {"a": 0, "b": 0}, more=(("add", {"a": 1, "b": 1}),))
    fake.script += [call, call, Say("enough")]
    async with pool_of(choice("openai", fake)) as pool:
        reply = await converse(asking(pool, run, bounds=Bounds(max_tool_calls=3)))
    assert (ran, reply.sums.tool_calls, reply.text) == (["add"] * 3, 3, "enough")
    results = [turn.results for turn in reply.turns if isinstance(turn, ToolTurn)][1]
    assert [result.is_error for result in results] == [False, True]
    assert "all 3 calls" in results[1].text


async def test_what_is_heard_meanwhile_is_answered_too(fake: FakeLlm) -> None:
    """An answer that came too early is no turn; the next one is to everything, and the round goes on counting."""
    heard: list[tuple[Turn, ...]] = [(UserTurn(text="and 2"),), ()]
    fake.script += [Say("1"), Say("3")]
    async with pool_of(choice("openai", fake)) as pool:
        reply = await converse(asking(pool, add, hear=lambda: heard.pop(0)))
    assert reply.turns == (UserTurn(text="add"), UserTurn(text="and 2"), AssistantTurn(text="3"))


class Shortening:
    """A memory that puts the oldest turn away when a model finds the conversation too long."""

    metadata: JsonObject = {}

    async def load(self) -> tuple[Turn, ...]:
        return tuple(UserTurn(text=f"turn {number}") for number in range(2))

    async def fit(
        self, turns: tuple[Turn, ...], *, counted: int | None = None, is_overflow: bool = False
    ) -> tuple[Turn, ...]:
        return turns[1:] if is_overflow else turns

    async def save(self, turns: tuple[Turn, ...], *, counted: int | None = None) -> None:
        pass


TOO_LONG = Fail(400, "invalid_request_error", "context_length_exceeded")


async def test_what_is_too_long_is_made_shorter_before_a_larger_model_is_asked(fake: FakeLlm) -> None:
    """The first refusal is the memory's to deal with; where that was not enough, a model with a larger window answers."""
    fake.script += [TOO_LONG, Say("now it fits")]
    async with pool_of(choice("openai", fake, "small"), choice("openai", fake, "large")) as pool:
        reply = await converse(asking(pool, add, memory=Shortening()))
        assert reply.text == "now it fits"
        assert [(each.body["model"], len(each.body["messages"])) for each in fake.requests] == [
            ("small", 4),
            ("small", 3),
        ]
        fake.requests.clear()
        fake.script += [TOO_LONG, TOO_LONG, Say("a large window")]
        reply = await converse(asking(pool, add, memory=Shortening()))
        assert reply.text == "a large window"
        assert [each.body["model"] for each in fake.requests] == ["small", "small", "large"]


async def test_without_a_memory_a_larger_model_is_asked_at_once(fake: FakeLlm) -> None:
    """What cannot be made shorter is not sent to the same model again; where no model is large enough, that is told."""
    fake.script += [TOO_LONG, Say("a large window"), TOO_LONG, TOO_LONG]
    async with pool_of(choice("openai", fake, "small"), choice("openai", fake, "large")) as pool:
        assert (await converse(asking(pool, add))).text == "a large window"
        with pytest.raises(ContextOverflow):
            await converse(asking(pool, add))
    assert [each.body["model"] for each in fake.requests] == ["small", "large"] * 2
