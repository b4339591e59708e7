"""A router between real agents: questions that go back and forth, and who is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from agents.routing.errors import NobodyAnswered
from agents.routing.relay import RELAYED
from agents.skill import Context, skill
from bus.requests.flow import Bounds
from schemas import a2a
from schemas.errors import Unavailable
from tests.contract.agents.skills import Gate
from tests.harness.agent import caller, saying, serving
from tests.harness.fleet import bench

ROUTER = """agent: {id: concierge, description: Passes on.}
routing: {strategy: static, routes: [{skill: greet, agent: greeter}, {agent: textstats}]}
"""


@skill(description="Takes an order, and asks twice.", id="order")
async def order(request: str, ctx: Context) -> str:
    size = (await ctx.input_required("Which size?")).text()
    colour = (await ctx.input_required(f"{size}. Which colour?")).text()
    return f"{request}: {size}, {colour}"


def _further(task: a2a.Task, text: str) -> a2a.SendMessageRequest:
    return a2a.SendMessageRequest(message=msgspec.structs.replace(saying(text).message, task_id=task.id))


@pytest.mark.parametrize("is_task", [False, True])
async def test_a_question_goes_to_the_routers_caller(tmp_path: Path, is_task: bool) -> None:
    """And each answer to the task that asked; of a request, and of a task that was there from the beginning."""
    async with (
        bench(tmp_path, agents={"concierge": (ROUTER, "")}) as running,
        serving(running, "concierge"),
        serving(running, "textstats", order) as behind,
    ):
        ops = await caller(running)
        first = saying("shirt", return_immediately=is_task)
        asked = (await ops.send_message("concierge", first)).task
        assert asked is not None
        if is_task:
            async for frame in ops.subscribe_to_task("concierge", asked.id):
                assert frame
            asked = await ops.get_task("concierge", asked.id)
        assert _said(asked) == (a2a.INPUT_REQUIRED, "Which size?")
        again = (await ops.send_message("concierge", _further(asked, "large"))).task
        assert again is not None
        assert _said(again) == (a2a.INPUT_REQUIRED, "large. Which colour?")
        done = (await ops.send_message("concierge", _further(asked, "red"))).task
        tasks = await behind.book.heads_of("concierge")
    assert done is not None
    assert done.status.state == a2a.COMPLETED
    assert done.artifacts[-1].parts[0].text == "shirt: large, red"
    assert len(tasks) == 1
    relayed = [said.metadata.get(RELAYED) for said in done.history if said.role == "ROLE_AGENT"]
    assert relayed == [{"agent": "textstats", "task": tasks[0].id}] * 2


def _said(task: a2a.Task) -> tuple[str, str]:
    assert task.status.message is not None
    return task.status.state, task.status.message.text()


async def test_who_is_away_is_told(tmp_path: Path) -> None:
    """A table has one agent for each message: when that is away, the caller learns which it is."""
    async with (
        bench(tmp_path, agents={"concierge": (ROUTER, "")}) as running,
        serving(running, "concierge"),
        serving(running, "textstats", order),
    ):
        with pytest.raises(Unavailable, match="nobody answered: greeter: nobody serves greeter now") as away:
            await (await caller(running)).send_message("concierge", saying("hello", skill="greet"))
    assert not isinstance(away.value, NobodyAnswered)  # on the wire it is UNAVAILABLE like any other


async def test_another_one_is_asked_only_where_nothing_was_begun(tmp_path: Path) -> None:
    """Work that fails because somebody whom it needs is busy says nothing of its own beginning."""

    @skill(description="Has an effect, and then finds the next one busy.", id="count")
    async def begun(request: str, ctx: Context) -> str:
        raise Unavailable("all places of somebody else are taken", retry_after_s="1", nothing_begun="true")

    gate = Gate()
    async with (
        bench(tmp_path, agents={"concierge": (ROUTER, "")}) as running,
        serving(running, "concierge"),
        serving(running, "textstats", begun) as other,
    ):
        ops = await caller(running)
        with pytest.raises(Unavailable, match="all places of somebody else") as refused:
            await ops.send_message("concierge", saying("hello"))
        assert not isinstance(refused.value, NobodyAnswered)
        assert refused.value.metadata == {"retry_after_s": "1"}
        await other.responder.drain(1)
        async with serving(running, "textstats", gate.skill, slot="1", bounds=Bounds(max_concurrent=1, max_queued=0)):
            first = asyncio.create_task(ops.send_message("textstats", saying("a")))
            await gate.has_entered()
            with pytest.raises(Unavailable, match="nobody answered: textstats: all 1 places"):
                await ops.send_message("concierge", saying("hello"))
            gate.opened.set()
            await first
