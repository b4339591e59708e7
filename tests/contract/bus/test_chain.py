"""Requests that are made in the course of another: they end loops, and no later than who asked first wants it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.skill import Context, Skill, skill
from bus.inbound import Call
from bus.requests import chain
from bus.requests.caller import Caller
from bus.requests.flow import Bounds
from bus.trace import new_trace
from schemas import a2a, names
from schemas.errors import DeadlineExceeded, LoopDetected, TaskNotFound, error_from_body
from tests.contract.agents.skills import echo
from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fleet import Bench, bench, until

WORK = "a2a.v1.req.textstats.ops.SendMessage"
_ANSWERED_S = 6.0
"""A deadline that a request which is answered at once keeps, also on a machine that stands still for seconds."""


def _each_other(document: dict[str, Any]) -> None:
    document["agents"]["textstats"]["asks"] = ["concierge"]


@pytest.fixture
async def circle(tmp_path: Path) -> AsyncIterator[Bench]:
    """A fleet in which concierge and textstats may ask each other."""
    async with bench(tmp_path, _each_other) as running:
        yield running


@skill(description="Asks textstats.", id="there")
async def there(request: str, ctx: Context) -> str:
    return await ctx.ask("textstats", request)


@skill(description="Asks concierge.", id="back")
async def back(request: str, ctx: Context) -> str:
    return await ctx.ask("concierge", request)


async def test_an_agent_that_is_asked_in_the_course_of_its_own_work_refuses(circle: Bench) -> None:
    """A asks B asks A: A's second turn is refused before it begins, and who asked first learns why."""
    async with serving(circle, "concierge", there) as one, serving(circle, "textstats", back):
        with pytest.raises(LoopDetected, match="concierge → textstats → concierge"):
            await (await caller(circle)).send_message("concierge", saying("round"), timeout_s=20)
        received = await trail(circle, one, kind="request.received")
    assert [event.data.actor for event in received if "concierge" in event.source] == ["ops"]


async def test_agents_may_ask_each_other_in_turn(circle: Bench) -> None:
    """Only a circle is refused: the same two agents ask each other for different callers' requests."""
    async with serving(circle, "concierge", there, echo) as one, serving(circle, "textstats", echo):
        ops = await caller(circle)
        for _ in range(2):
            answer = await ops.send_message("concierge", saying("on", skill="there"))
            assert answer.message is not None
        assert await one.calls.send_message("textstats", saying("by itself"))


@skill(description="Leaves a task for textstats.", id="leaving-there")
async def leaving_there(request: str, ctx: Context) -> str:
    return await ctx.calls.leave_task("textstats", saying(request))


@skill(description="Leaves a task for concierge.", id="leaving-back")
async def leaving_back(request: str, ctx: Context) -> str:
    return await ctx.calls.leave_task("concierge", saying(request))


async def test_a_circle_of_durable_tasks_ends(circle: Bench) -> None:
    """The chain goes with durable tasks too: the one that closes the circle is REJECTED and not run."""
    async with serving(circle, "concierge", leaving_there) as one, serving(circle, "textstats", leaving_back) as two:
        first = await (await caller(circle)).leave_task("concierge", saying("round"))
        second = (await _ended(one.book.get, "ops", first)).artifacts[0].parts[0].text
        third = (await _ended(two.book.get, "concierge", str(second))).artifacts[0].parts[0].text
        refused = await _ended(one.book.get, "textstats", str(third))
    assert refused.status.state == "TASK_STATE_REJECTED"
    assert refused.status.message is not None
    assert "concierge → textstats → concierge" in refused.status.message.text()


async def _ended(get: Any, of: str, task: str) -> a2a.Task:
    async def ended() -> a2a.Task | None:
        try:
            found: a2a.Task = await get(of, task)
        except TaskNotFound:
            return None
        return found if found.is_final else None

    found = await until(ended)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("agents", "reason"),
    [
        ("a,b", ""),
        ("a,textstats,b", "LOOP_DETECTED"),
        (",".join(f"a{number}" for number in range(15)), ""),
        (",".join(f"a{number}" for number in range(16)), "LOOP_DETECTED"),
        (",".join(f"a{number}" for number in range(17)), "INVALID_ARGUMENT"),
        ("a,,b", "INVALID_ARGUMENT"),
        ("A", "INVALID_ARGUMENT"),
        ("a, \x1b[31mb", "INVALID_ARGUMENT"),
        ("a" * 64, "INVALID_ARGUMENT"),
    ],
)
async def test_a_chain_is_short_and_plain(fleet_bench: Bench, agents: str, reason: str) -> None:
    """What is no chain is refused; one of 16 agents is long enough. Whoever is named in it gets no rights by that."""
    headers = {names.A2A_VERSION: "1.0", names.CHAIN: agents}
    payload = b'{"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "x"}]}}'
    async with serving(fleet_bench, "textstats", echo):
        attacker = await fleet_bench.attacker("ops")
        answer = await attacker.client.request(WORK, payload, timeout=10, headers=headers)
    said = error_from_body(msgspec.json.decode(answer.data)).reason if b'"error"' in answer.data else ""
    assert said == reason


def _noting(deadlines: list[int | None]) -> Skill:
    @skill(description="Notes until when it may work.", id="noted")
    async def noted(request: str, ctx: Context) -> str:
        deadlines.append(ctx.deadline_ms)
        return request

    return noted


async def test_what_is_asked_for_a_request_ends_with_it(circle: Bench) -> None:
    """A handler's own requests carry what is left of its caller's deadline, however long it would wait itself."""
    deadlines: list[int | None] = []

    @skill(description="Asks with the library's own time-outs.")
    async def patient(request: str, ctx: Context) -> str:
        deadlines.append(ctx.deadline_ms)
        await ctx.calls.send_message("textstats", saying(request))
        return await ctx.ask("textstats", request, timeout_s=300)

    async with serving(circle, "concierge", patient), serving(circle, "textstats", _noting(deadlines)):
        await (await caller(circle)).send_message("concierge", saying("now"), timeout_s=20)
    parent, *children = [deadline or 0 for deadline in deadlines]
    assert len(children) == 2
    assert all(0 < child <= parent for child in children)


async def test_an_agents_own_limit_is_a_deadline_too(circle: Bench) -> None:
    """Of a request that would wait longer, of one without a deadline, and of a task: what is asked ends by then."""
    deadlines: list[int | None] = []

    @skill(description="Notes until when it may work, and asks with a longer time-out.")
    async def patient(request: str, ctx: Context) -> str:
        deadlines.append(ctx.deadline_ms)
        await ctx.calls.send_message("textstats", saying(request), timeout_s=3600)
        return request

    own = Bounds(timeout_s=20)
    payload = b'{"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "x"}]}}'
    async with (
        serving(circle, "concierge", patient, bounds=own) as one,
        serving(circle, "textstats", _noting(deadlines), bounds=Bounds(timeout_s=3600)),
    ):
        ops, plain = await caller(circle), await circle.attacker("ops")
        await ops.send_message("concierge", saying("x"), timeout_s=3600)
        way = WORK.replace("textstats", "concierge")
        await plain.client.request(way, payload, timeout=10, headers={names.A2A_VERSION: "1.0"})
        await _ended(one.book.get, "ops", await ops.leave_task("concierge", saying("x")))
        latest = (time.time() + 20) * 1000
    noted = [deadline or 0 for deadline in deadlines]
    parents, children = noted[::2], noted[1::2]
    assert len(children) == 3
    assert all(0 < child <= parent <= latest for parent, child in zip(parents, children, strict=True))


async def test_nothing_is_asked_after_the_deadline(fleet_bench: Bench) -> None:
    """A handler whose caller has given up asks nobody any more: no request is sent."""
    asked: list[str] = []

    async def late(calls: Caller) -> None:
        call = Call("concierge", "ops", "SendMessage", "", b"", new_trace(), deadline_ms=int(time.time() * 1000) - 1)
        chain.enter(call)
        with pytest.raises(DeadlineExceeded, match="nothing more was asked"):
            await calls.send_message("textstats", saying("late"))
        with pytest.raises(DeadlineExceeded, match="nothing more was asked"):
            await anext(calls.stream("textstats", "SendStreamingMessage", saying("late")))

    async with serving(fleet_bench, "textstats", _listing(asked)):
        await asyncio.create_task(late(await caller(fleet_bench, "concierge")))
        await (await caller(fleet_bench)).send_message("textstats", saying("in time"))
    assert asked == ["in time"]


def _listing(asked: list[str]) -> Skill:
    @skill(description="Notes what it is asked.", id="listed")
    async def listed(request: str, ctx: Context) -> str:
        asked.append(request)
        return request

    return listed


async def test_a_task_outlives_the_request_that_began_it(circle: Bench) -> None:
    """The deadline of a request that is answered by a task at once is not the task's: it may still ask others."""
    gate = asyncio.Event()

    @skill(description="Waits, then asks textstats.")
    async def later(request: str, ctx: Context) -> str:
        await gate.wait()
        return await ctx.ask("textstats", request)

    async with serving(circle, "concierge", later) as one, serving(circle, "textstats", echo):
        request = saying("still", return_immediately=True)
        answer = await (await caller(circle)).send_message("concierge", request, timeout_s=_ANSWERED_S)
        deadline = time.time() + _ANSWERED_S

        async def is_past() -> bool:
            return time.time() > deadline

        await until(is_past, timeout_s=2 * _ANSWERED_S)
        gate.set()
        assert answer.task is not None
        ended = await _ended(one.book.get, "ops", answer.task.id)
    assert ended.status.state == "TASK_STATE_COMPLETED"
