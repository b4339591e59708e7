"""What stands around a call: the order, and what each layer does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from agents import llm
from agents.changes import AuthRequired
from agents.context import Context
from agents.llm import Pool, SystemPrompt, ToolTurn
from agents.loop import ORDER, Layer, ModelStep, Step, ToolStep, converse, layers_of, within
from agents.loop.layers.rate_limit import Pace, RateLimitLayer
from agents.mcp.errors import McpDown, McpFailed, McpTimedOut, McpUnreadable, ToolChanged
from agents.tools.errors import ToolAway, ToolFailed, ToolLate, ToolRefused
from agents.tools.row import Row
from schemas.agent import Breaker, BulkheadLimits, Llm, ModelChoice, RateLimit, Resilience
from schemas.documents import Document
from schemas.errors import DeadlineExceeded, RateLimited, Unavailable
from tests.harness.toolbox import Box, Told, context, conversation, toolbox

OFFLINE = ModelChoice(provider="offline")
PROMPT = SystemPrompt(Llm(system_prompt="Style: friendly", pool=(OFFLINE,)))
NAMES = ["AuditLayer", "SecurityLayer", "RateLimitLayer", "BulkheadLayer", "BreakerLayer", "TimeoutLayer"]


class Nothing(Document):
    """No arguments."""


async def done(_: Any, __: Context) -> str:
    return "done"


async def hang(_: Any, __: Context) -> str:
    await asyncio.Event().wait()
    return ""


def row(run: Any = done, **more: Any) -> Row:
    return Row(llm.Tool(name="propose_change", description="", input=Nothing), run, has_effects=False, **more)


def step_of(box: Box, **more: Any) -> ToolStep:
    (only,) = box.toolbox.rows
    call = llm.ToolCall(id="c", name=only.name)
    given: dict[str, Any] = {"context": context(), "guards": (box.toolbox,)} | more
    return ToolStep(call=call, row=only, arguments=Nothing(), **given)


def call_of(step: ToolStep) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        step.began.at_s = time.perf_counter()
        return await step.row.run(step.arguments, step.context)

    return call


async def through(box: Box, layers: tuple[Layer, ...], **more: Any) -> str:
    step = step_of(box, **more)
    return await within(layers, step, call_of(step))


def layers(told: Told | None = None, **limits: Any) -> tuple[Layer, ...]:
    return layers_of(Resilience(**limits), toolbox([], told).audit)


class Watched:
    """A layer that says when a call comes in and goes out."""

    def __init__(self, inner: Layer, seen: list[str]) -> None:
        self._inner = inner
        self._seen = seen

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        kind = "model" if isinstance(step, ModelStep) else "tool"
        self._seen.append(f"{kind} into {type(self._inner).__name__}")
        return await self._inner.around(step, proceed)


async def test_the_order_around_every_call() -> None:
    """In a real conversation, every question to a model and every tool call goes through the six, in this order."""
    seen: list[str] = []

    class Change(Document):
        path: str
        find: str
        replace: str
        rationale: str

    tool = Row(llm.Tool(name="propose_change", description="", input=Change), done, has_effects=False)
    pool = Pool.from_choices([OFFLINE])
    told = conversation(pool, PROMPT, "be more formal", tool)
    watched = tuple(Watched(layer, seen) for layer in told.models.layers)
    reply = await converse(replace(told, models=replace(told.models, layers=watched)))
    await pool.close()
    assert reply.rounds == 1
    assert seen == [f"{kind} into {name}" for kind in ("model", "tool", "model") for name in NAMES]


def test_the_order_is_the_one_that_is_written_down() -> None:
    """One tuple says it; each layer is made once."""
    assert [type(layer).__name__ for layer in layers()] == NAMES
    assert len(ORDER) == len(NAMES)


async def test_who_is_refused_by_a_guard_uses_nothing_up() -> None:
    """Security stands before the limit of the rate, and the trail, before it, has the refusal."""
    told = Told()
    box = toolbox([row()], told)
    around = layers(told, rate_limit=RateLimit(burst=1, per_second=0.001))
    for _ in range(3):
        with pytest.raises(ToolRefused):
            await through(box, around, guards=(toolbox([]).toolbox,))
    assert told.kinds == ["tool.refused"] * 3
    assert await through(box, around) == "done"


async def test_without_a_guard_nothing_gets_through() -> None:
    """A conversation that nobody guards makes no call."""
    box = toolbox([row()])
    with pytest.raises(ToolRefused, match="nobody guards"):
        await through(box, layers(), guards=())


async def test_who_waits_its_turn_has_no_place() -> None:
    """The rate comes before the bulkhead: a call that waits for its turn keeps nobody out, nor does one without time."""
    told = Told()
    box = toolbox([row()], told)
    around = layers(told, rate_limit=RateLimit(burst=1, per_second=0.01), bulkhead=BulkheadLimits(max_concurrent=1))
    assert await through(box, around) == "done"
    soon = msgspec.structs.replace(context(), deadline_ms=int(time.time() * 1000) + 20_000)
    with pytest.raises(RateLimited, match="no time to wait"):
        await through(box, around, context=soon)
    other = msgspec.structs.replace(context(), caller="other")
    assert await through(box, around, context=other) == "done"
    assert told.events[-2][1]["reason"] == "rate_limited"


async def test_a_full_house_is_no_failure_of_the_tool() -> None:
    """The bulkhead stands before the breaker: what it turns away says nothing of the tool."""
    box = toolbox([row(hang)])
    around = layers(bulkhead=BulkheadLimits(max_concurrent=1, max_queued=0), breaker=Breaker(failures=1))
    running = asyncio.ensure_future(through(box, around))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(Unavailable, match="all 1 places are taken"):
            await through(box, around)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await through(toolbox([row()]), around) == "done"


async def test_a_tool_that_fails_is_left_alone() -> None:
    """Being late is a failure, since the breaker stands before the timeout; the trail has when it opens."""
    told = Told()
    box = toolbox([row(hang, timeout_s=0.001)], told)
    around = layers(told, breaker=Breaker(failures=2))
    for _ in range(2):
        with pytest.raises(ToolLate, match="did not end within"):
            await through(box, around)
    with pytest.raises(Unavailable, match="left alone"):
        await through(box, around)
    assert told.kinds == ["tool.finished", "breaker.opened", "tool.finished", "tool.refused"]


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (ToolFailed("there is no such file"), False),
        (ToolAway("the server is away"), True),
        (McpDown("the server is away"), True),
        (McpTimedOut("no answer"), True),
        (McpUnreadable("an error page"), True),
        (McpFailed("wrong arguments"), False),
        (ToolChanged("another definition"), False),
        (Unavailable("another agent is away"), False),
        (AuthRequired("p-1"), False),
        (ZeroDivisionError(), True),
    ],
)
async def test_what_counts_as_a_failure(error: Exception, opens: bool) -> None:
    """A tool that does its work and says no is a good tool."""

    async def fail(_: Any, __: Context) -> str:
        raise error

    told = Told()
    box = toolbox([row(fail)], told)
    around = layers(told, breaker=Breaker(failures=1))
    with pytest.raises(type(error)):
        await through(box, around)
    assert ("breaker.opened" in told.kinds) == opens


async def test_models_are_not_left_alone_here() -> None:
    """Their breakers are the pool's: a question goes through, whatever became of the last one."""
    around = layers(breaker=Breaker(failures=1))
    question = llm.Completion(system=PROMPT, turns=())

    async def fail() -> str:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await within(around, ModelStep(context=context(), question=question, guards=(toolbox([]).toolbox,)), fail)


async def test_the_deadline_of_the_request_is_the_nearer_limit() -> None:
    """A tool ends with the request that it runs for, and that is no fault of the tool."""
    told = Told()
    box = toolbox([row(hang)], told)
    short = msgspec.structs.replace(context(), deadline_ms=int(time.time() * 1000) + 5)
    with pytest.raises(DeadlineExceeded):
        await through(box, layers(told, breaker=Breaker(failures=1)), context=short)
    assert "breaker.opened" not in told.kinds


async def test_a_turn_is_waited_for() -> None:
    """What comes too fast is made later, by as much as the rate says."""
    waited: list[float] = []

    async def sleep(wait_s: float) -> None:
        waited.append(wait_s)

    layer = RateLimitLayer(RateLimit(burst=2, per_second=4), now=lambda: 100.0, sleep=sleep)
    box = toolbox([row()])
    for _ in range(4):
        await through(box, (layer,))
    assert waited == [pytest.approx(0.25), pytest.approx(0.5)]


def test_the_pace() -> None:
    """A bucket fills by its rate up to its burst; what is refused takes nothing; without a rate there is no limit."""
    pace = Pace(burst=2, per_second=1)
    assert [pace.take("a", 0, 9) for _ in range(4)] == [0, 0, 1, 2]
    assert pace.take("a", 0, 0.5) == 3
    assert pace.take("a", 0, 9) == 3
    assert pace.take("b", 0, 9) == 0
    assert pace.take("a", 100, 9) == 0
    assert [Pace(1, 0).take("a", 0, 0) for _ in range(9)] == [0] * 9


async def test_calls_that_were_refused_are_told_to_the_model() -> None:
    """A limit around a tool is its result; the conversation goes on."""

    class Change(Document):
        path: str
        find: str
        replace: str
        rationale: str

    tool = Row(llm.Tool(name="propose_change", description="", input=Change), hang, has_effects=False, timeout_s=0.001)
    pool = Pool.from_choices([OFFLINE])
    reply = await converse(conversation(pool, PROMPT, "be more formal", tool))
    await pool.close()
    (results,) = [turn.results for turn in reply.turns if isinstance(turn, ToolTurn)]
    assert results[0].is_error
    assert "was stopped" in results[0].text
