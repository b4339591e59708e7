"""Agents that ask agents, over a real server: pieces as they come, questions back, and what goes wrong with either."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from agents.skill import AskedBack, Context, Skill, skill
from schemas import a2a
from schemas.errors import A2AError, InvalidAgentResponse
from tests.contract.agents.skills import SECRET
from tests.harness.agent import caller, saying, serving
from tests.harness.fleet import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Step(msgspec.Struct):
    """A piece of data."""

    number: int


@skill(description="Counts in data.", id="steps")
async def steps(request: str, ctx: Context) -> AsyncIterator[Step]:
    await ctx.artifact("beside", "the answer")
    for number in range(int(request)):
        yield Step(number)


@skill(description="Says one word and fails.", id="fails")
async def fails(request: str, ctx: Context) -> AsyncIterator[str]:
    yield "one"
    raise ValueError(SECRET)


@skill(description="Asks twice.", id="twice")
async def twice(request: str, ctx: Context) -> Step:
    first = (await ctx.input_required("First?")).text()
    second = (await ctx.input_required("Second?")).text()
    return Step(int(first) + int(second))


async def _in_a_skill(bench: Bench, what: Skill, *others: Skill) -> a2a.Message:
    """The answer of `what` at concierge, while textstats has the others."""
    async with serving(bench, "textstats", *others), serving(bench, "concierge", what):
        answer = (await (await caller(bench)).send_message("concierge", saying("x"))).message
    assert answer is not None
    return answer


async def test_pieces_are_of_the_asked_type(shared_bench: Bench) -> None:
    """Each piece is a value, in order; an artifact beside the answer is no piece of it."""

    @skill(description="Adds.", id="adds")
    async def adds(request: str, ctx: Context) -> str:
        return " ".join([str(step.number) async for step in ctx.ask_stream("textstats", "4", Step, skill="steps")])

    assert (await _in_a_skill(shared_bench, adds, steps)).text() == "0 1 2 3"


async def test_pieces_of_another_type_are_the_other_agents_fault(shared_bench: Bench) -> None:
    """The error is an InvalidAgentResponse that names the agent, for an answer in pieces and for a whole one."""

    @skill(description="Listens.", id="listens")
    async def listens(request: str, ctx: Context) -> str:
        found: list[str] = []
        for ask in (_pieces(ctx), ctx.ask("textstats", "x", Step, skill="twice_text")):
            with pytest.raises(InvalidAgentResponse, match="textstats") as refused:
                await ask
            found.append(type(refused.value).__name__)
        return " ".join(found)

    async def _pieces(ctx: Context) -> None:
        async for _ in ctx.ask_stream("textstats", "2", skill="steps"):
            raise AssertionError

    @skill(description="Says text.", id="twice_text")
    async def text(request: str, ctx: Context) -> str:
        return request

    answer = await _in_a_skill(shared_bench, listens, steps, text)
    assert answer.text() == "InvalidAgentResponse InvalidAgentResponse"


async def test_what_fails_after_some_pieces_is_said_after_them(shared_bench: Bench) -> None:
    """The pieces are there, then the task as it ended, without the words of the other's defect."""

    @skill(description="Listens.", id="listens")
    async def listens(request: str, ctx: Context) -> str:
        pieces: list[str] = []
        try:
            async for piece in ctx.ask_stream("textstats", "x", skill="fails"):
                pieces.append(piece)  # noqa: PERF401  what came before the error is the point
        except AskedBack as ended:
            return f"{pieces} {ended.agent} {ended.task.status.state}: {ended} {ended.question}"
        return "it did not fail"

    said = (await _in_a_skill(shared_bench, listens, fails)).text()
    assert said.startswith("['one'] textstats TASK_STATE_FAILED: ")
    assert SECRET not in said


async def test_each_question_is_answered_in_its_turn(shared_bench: Bench) -> None:
    """`reply` may be asked back again; its last answer is of the asked type, and the task is one."""

    @skill(description="Answers.", id="answers")
    async def answers(request: str, ctx: Context) -> str:
        with pytest.raises(AskedBack) as first:
            await ctx.ask("textstats", "x", Step, skill="twice")
        with pytest.raises(AskedBack) as second:
            await ctx.reply(first.value, "3", Step)
        assert first.value.task.id == second.value.task.id
        done = await ctx.reply(second.value, "4", Step)
        return f"{first.value.question} {second.value.question} {done.number}"

    assert (await _in_a_skill(shared_bench, answers, twice)).text() == "First? Second? 7"


async def test_a_question_that_nobody_answers_ends_the_skill(shared_bench: Bench) -> None:
    """The caller of the asking agent gets a named error."""

    @skill(description="Asks.", id="asks")
    async def asks(request: str, ctx: Context) -> str:
        return await ctx.ask("textstats", "x", skill="twice")

    with pytest.raises(InvalidAgentResponse, match="input_required"):
        await _in_a_skill(shared_bench, asks, twice)


@pytest.mark.parametrize(("agent", "error"), [("greeter", "NobodyServes"), ("textstats", "AskedBack")])
async def test_a_stream_that_cannot_begin_says_why(shared_bench: Bench, agent: str, error: str) -> None:
    """Nobody there is unavailable at once; a skill that there is not makes a task that is rejected."""

    @skill(description="Listens.", id="listens")
    async def listens(request: str, ctx: Context) -> str:
        try:
            return "".join([piece async for piece in ctx.ask_stream(agent, "x", skill="none")])
        except A2AError as refusal:
            return type(refusal).__name__

    assert (await _in_a_skill(shared_bench, listens, steps)).text() == error
