"""What an agent's author writes, as the type checker sees it. Checked by mypy in strict mode, never run.

A line with `type: ignore[…]` must be an error: mypy reports an ignore that is not needed.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

import msgspec
import pydantic

from agents.context import Context as AgentContext
from agents.skill import Ask, AskedBack, Context, Note, Restarted, Said, Skill, skill
from bus.discovery.agent_keys import AgentKeys
from bus.requests.caller import Caller
from schemas import a2a
from schemas.approvals import Receipt, Standing


class Question(msgspec.Struct):
    """An input type of msgspec's."""

    text: str
    limit: int = 3


class Answer(pydantic.BaseModel):
    """An output type of pydantic's."""

    words: list[str]


@skill(description="Answers.", id="answer", name="Answer", tags=["a", "b"], examples=("x",))
async def answer(request: Question, ctx: Context) -> Answer:
    """A typed skill."""
    assert_type(ctx.caller, str)
    assert_type(ctx.message, a2a.Message)
    assert_type(ctx.history, tuple[a2a.Message, ...])
    assert_type(ctx.context_id, str)
    assert_type(await ctx.ask("greeter", "hello"), str)
    assert_type(await ctx.ask("other", request, Answer, skill="answer", timeout_s=5), Answer)
    assert_type(await ctx.ask("other", Question(text="x"), Question), Question)
    assert_type(ctx.budget.left, Decimal | None)
    assert_type(await ctx.ask("greeter", "hello", budget_usd=Decimal("0.1")), str)
    assert_type(await ctx.gather([Ask("greeter", "hello"), Ask("other", request, Answer)], at_once=2), list[Any])
    assert_type((await ctx.ask_any([Ask("greeter", "hello", timeout_s=5)])).agent, str)
    assert_type(ctx.ask_stream("greeter", "hello"), AsyncGenerator[str, None])
    assert_type(ctx.ask_stream("other", request, Answer, skill="answer"), AsyncGenerator[Answer, None])
    assert_type(ctx.ask_stream("greeter", "hello", restarts=True), AsyncGenerator[str | Restarted, None])
    assert_type(ctx.ask_stream("other", request, Answer, restarts=True), AsyncGenerator[Answer | Restarted, None])
    try:
        await ctx.ask("greeter", "hello")
    except AskedBack as asked:
        assert_type((asked.agent, asked.task, asked.question), tuple[str, a2a.Task, str])
        assert_type(await ctx.reply(asked, "large"), str)
        assert_type(await ctx.reply(asked, "large", Answer), Answer)
    assert_type(await ctx.propose([], "why"), Receipt)
    assert_type(await ctx.propose_change([], "why"), Standing)
    note = await ctx.memory.get("size")
    assert_type(note, Note | None)
    assert_type(await ctx.memory.list(), Mapping[str, Note])
    assert_type(await ctx.memory.forget("size"), bool)
    assert_type(await ctx.memory.recall("words", limit=3), tuple[Said, ...])
    await ctx.memory.put("size", "large")
    await ctx.memory.append(Said("caller", request.text), Said("agent", "done"))
    await ctx.memory.put("size", 5)  # type: ignore[arg-type]
    await ctx.memory.append(Said("model", "done"))  # type: ignore[arg-type]
    await ctx.progress("half way")
    await ctx.ask("greeter")  # type: ignore[call-overload]
    await ctx.ask("greeter", "hello", "not a type")  # type: ignore[call-overload]
    ctx.caller = "somebody else"  # type: ignore[misc]
    Question(text=5)  # type: ignore[arg-type]
    return Answer(words=request.text.split()[: request.limit])


@skill(description="Says it again.")
async def echo(request: str, ctx: Context) -> str:
    """A skill of plain text."""
    return await ctx.ask("greeter", request, timeout_s=ctx.remaining_s(10))


assert_type(answer, Skill)
assert_type(answer.id, str)
assert_type(answer.input, type[Any])
SKILLS: list[Skill] = [answer, echo]
SAME: type[Context] = AgentContext


@skill(description="Not asynchronous.")  # type: ignore[arg-type]
def not_async(request: str, ctx: Context) -> str:
    """A skill must be a coroutine function."""
    return request


@skill
async def described(request: str, ctx: Context) -> str:
    """Its docstring describes it."""
    return request


assert_type(described, Skill)


async def as_a_caller(calls: Caller, request: a2a.SendMessageRequest) -> None:
    """What a program outside the fleet's agents uses."""
    response = await calls.send_message("greeter", request, timeout_s=5)
    assert_type(response.task, a2a.Task | None)
    assert_type(response.message, a2a.Message | None)
    assert_type(await calls.get_task("greeter", "task-1"), a2a.Task)
    assert_type(await calls.get_card("greeter"), a2a.AgentCard)
    assert_type(await calls.get_card("greeter", key_of=AgentKeys(Path("agents.json")).of), a2a.AgentCard)
    assert_type(await calls.leave_task("greeter", request, key="k"), str)
    assert_type(await calls.leave_task("greeter", request, not_before=datetime.datetime.now(datetime.UTC)), str)
    await calls.leave_task("greeter", request, not_before=5)  # type: ignore[arg-type]
    assert_type(await calls.call("greeter", "GetTask", a2a.GetTaskRequest(id="x"), a2a.Task, timeout_s=1), a2a.Task)
    await calls.send_message("greeter", "hello")  # type: ignore[arg-type]
    await calls.call("greeter", "GetTask", request, a2a.Task)  # type: ignore[call-arg]
