"""A durable task of a model agent whose process ends at any point: another one goes on, and no effect happens twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents import llm
from agents.context import Context
from agents.tools import catalogue
from agents.tools.row import Row
from bus.requests.caller import Caller
from bus.sessions import SessionStore, work_key
from schemas import a2a
from schemas.documents import Document
from schemas.errors import TaskNotFound
from schemas.usage import Usage
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.fake_llm import CallTool, Fail, FakeLlm, Gate, Held, Say
from tests.harness.fleet import Bench, bench, until
from tests.harness.model_agent import directly, filled_in

AGENT = """\
agent: {id: greeter, description: Works., version: 1.0.0}
llm:
  system_prompt: You work.
  pool:
    - {provider: openai, model: m, api_key: 'file:KEY', base_url: 'URL',
       price: {input_usd_per_million: 1000, output_usd_per_million: 1000}}
tools: {bash: {}, read: {}, write: {reflect: true}}
"""


class Nothing(Document):
    """No arguments."""


@dataclass
class Stage:
    """An agent's fleet, the server behind it, somebody who asks, and what its tools did."""

    bench: Bench
    fake: FakeLlm
    ops: Caller
    ran: list[str] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    holds: str = ""

    def row(self, name: str, *, has_effects: bool) -> Row:
        async def run(_: Any, __: Context) -> str:
            self.ran.append(name)
            if self.holds == name:
                self.begun.set()
                await asyncio.Event().wait()
            return f"{name} ran"

        return Row(
            llm.Tool(name=name, description=name, input=Nothing), run, has_effects=has_effects, provenance="trusted"
        )

    async def ended(self, task: str) -> a2a.Task:
        async def look() -> a2a.Task | None:
            try:
                found = await self.ops.get_task("greeter", task)
            except TaskNotFound:
                return None
            return found if found.is_final else None

        found = await until(look, timeout_s=40)
        assert found is not None
        return found

    def told(self, number: int = -1) -> list[tuple[str, str]]:
        """Role and text of each turn in a request to the model."""
        messages: list[dict[str, Any]] = self.fake.requests[number].body["messages"]
        return [(message["role"], message.get("content") or "") for message in messages[1:]]


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    directly(monkeypatch)
    async with FakeLlm() as fake:
        file = filled_in(AGENT, fake, tmp_path)
        async with bench(tmp_path, agents={"greeter": (file, "")}) as running:
            made = Stage(running, fake, await caller(running))
            for name, has_effects in (("bash", True), ("read", False), ("write", True)):
                row = made.row(name, has_effects=has_effects)
                monkeypatch.setitem(catalogue.MAKERS, name, lambda *_, row=row: row)
            yield made


@asynccontextmanager
async def dying(stage: Stage, slot: str = "0") -> AsyncIterator[Agent]:
    """An instance that ends as a killed process does."""
    async with serving(stage.bench, "greeter", slot=slot) as agent:
        yield agent
        await agent.die()


async def test_another_instance_goes_on_from_the_last_turn(stage: Stage) -> None:
    """What was answered is not asked again, what has run does not run again, and the cost is that of all runs."""
    gate = Gate()
    stage.fake.script = [CallTool("bash", {}), Held(Say("never"), gate), Say("done")]
    async with dying(stage):
        task = await stage.ops.leave_task("greeter", saying("go"))
        await gate.reached.wait()
    async with serving(stage.bench, "greeter", slot="1") as agent:
        done = await stage.ended(task)
        assert done.status.state == a2a.COMPLETED
        assert done.artifacts[0].parts[0].text == "done"
        assert stage.ran == ["bash"]
        assert len(stage.fake.requests) == 3
        assert stage.told() == stage.told(1)
        usage = Usage.told_in(done.metadata)
        assert usage is not None
        assert usage.cost_usd is None  # of the call that was cut short nobody knows
        assert usage.counted_usd == Decimal("0.036")
        assert not (await SessionStore(agent.own).get(work_key("ops", task))).value
        steps = [event.data for event in await trail(stage.bench, agent, kind="conversation.stepped")]
        assert steps[-1].metadata["to"] == "end_conversation"


async def test_a_tool_that_had_begun_is_not_run_again(stage: Stage) -> None:
    """Nobody knows what came of it, so the model is told to check before it repeats it; the one behind it runs."""
    stage.holds = "bash"
    stage.fake.script = [CallTool("bash", {}, more=(("read", {}),)), Say("I will check.")]
    async with dying(stage):
        task = await stage.ops.leave_task("greeter", saying("go"))
        await stage.begun.wait()
    stage.holds = ""
    async with serving(stage.bench, "greeter", slot="1"):
        assert (await stage.ended(task)).status.state == a2a.COMPLETED
    assert stage.ran == ["bash", "read"]
    assert len(stage.fake.requests) == 2
    tools = [text for role, text in stage.told() if role == "tool"]
    assert "outcome unknown" in tools[0]
    assert tools[1] == "read ran"


async def test_a_tool_without_effects_runs_again(stage: Stage) -> None:
    """It has changed nothing, so nobody has to be asked."""
    stage.holds = "read"
    stage.fake.script = [CallTool("read", {}), Say("done")]
    async with dying(stage):
        task = await stage.ops.leave_task("greeter", saying("go"))
        await stage.begun.wait()
    stage.holds = ""
    async with serving(stage.bench, "greeter", slot="1"):
        done = await stage.ended(task)
        assert done.status.state == a2a.COMPLETED
    usage = Usage.told_in(done.metadata)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cost_usd) == (22, 14, Decimal("0.036"))
    assert stage.ran == ["read", "read"]
    assert [text for role, text in stage.told() if role == "tool"] == ["read ran"]


async def test_a_second_look_that_was_cut_short_costs_the_result_nothing(stage: Stage) -> None:
    """The effect is not repeated, the result stands without a verdict; what the look did cost nobody knows."""
    gate = Gate()
    stage.fake.script = [CallTool("write", {}), Held(Say('{"verdict": "not"}'), gate), Say("done")]
    async with dying(stage):
        task = await stage.ops.leave_task("greeter", saying("go"))
        await gate.reached.wait()
    async with serving(stage.bench, "greeter", slot="1"):
        done = await stage.ended(task)
    assert done.status.state == a2a.COMPLETED
    assert (stage.ran, len(stage.fake.requests)) == (["write"], 3)
    assert [text for role, text in stage.told() if role == "tool"] == ["write ran"]
    usage = Usage.told_in(done.metadata)
    assert usage is not None
    assert (usage.cost_usd, usage.counted_usd) == (None, Decimal("0.036"))


async def test_a_task_that_is_tried_again_goes_on(stage: Stage) -> None:
    """A model that was away for a while costs the turns before nothing."""
    stage.fake.script = [CallTool("bash", {}), *[Fail(503)] * 2, Say("done")]
    async with serving(stage.bench, "greeter"):
        task = await stage.ops.leave_task("greeter", saying("go"))
        assert (await stage.ended(task)).artifacts[0].parts[0].text == "done"
    assert stage.ran == ["bash"]


async def test_of_two_that_have_the_task_only_the_later_one_acts(stage: Stage) -> None:
    """An instance that was thought to be gone finds out before its next effect, and leaves the task alone."""
    gate = Gate()
    stage.fake.script = [Held(CallTool("bash", {}), gate)]
    async with serving(stage.bench, "greeter") as agent:
        task = await stage.ops.leave_task("greeter", saying("go"))
        await gate.reached.wait()
        store = SessionStore(agent.own)
        await store.change(work_key("ops", task), lambda found: found.value.replace(b'"run":"', b'"run":"x'), ttl_s=60)
        stage.fake.default = Say("done")
        gate.release.set()
        assert (await stage.ended(task)).status.state == a2a.COMPLETED
    assert stage.ran == []
