"""A tool with effects runs only when the trail has what it is about to do: through the model's loop, at a real agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from approvals.reviewing import desk
from schemas import a2a, names
from schemas.errors import Unavailable
from tests.faults.test_pressure import limit
from tests.harness.admin import administrator
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.fake_llm import CallTool, FakeLlm, Gate, Held, Say
from tests.harness.fleet import Bench, bench, until
from tests.harness.model_agent import directly, filled_in

AGENT = """agent: {id: greeter, description: Greets., version: 1.0.0}
llm:
  system_prompt: You greet.
  pool: [{provider: openai, model: m, api_key: 'file:KEY', base_url: 'URL'}]
tools: [propose_change]
"""
CHANGE = CallTool("propose_change", {"path": "notes.txt", "replace": "x", "rationale": "to see"})
Mend = Callable[[], Awaitable[None]]
Fault = Callable[[Agent, Bench], Awaitable[Mend]]
"""Takes the trail away from an agent; what it returns gives it back."""


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeLlm]:
    directly(monkeypatch)
    monkeypatch.setattr(desk, "_TIMEOUT_S", 0.2)  # nobody takes proposals here
    async with FakeLlm() as server:
        yield server


@pytest.fixture
async def fleet(tmp_path: Path, fake: FakeLlm) -> AsyncIterator[Bench]:
    file = filled_in(AGENT, fake, tmp_path)
    async with bench(tmp_path, agents={"greeter": (file, "")}) as running:
        yield running


async def _stream_without_room(agent: Agent, fleet: Bench) -> Mend:
    admin = await administrator(fleet, names.AUDIT)
    await agent.audit.confirm()  # the stream's only place is taken
    await limit(admin, 1)
    confirm = agent.audit.confirm

    async def soon(timeout_s: float = 0) -> None:
        await confirm(min(timeout_s, 0.3) or 0.3)

    async def mend() -> None:
        agent.audit.confirm = confirm  # type: ignore[method-assign]
        await limit(admin, -1)

    agent.audit.confirm = soon  # type: ignore[method-assign]
    return mend


async def _full_spool(agent: Agent, _: Bench) -> Mend:
    spool = agent.audit._spool
    before, spool._limit = spool._limit, 1

    async def mend() -> None:
        spool._limit = before

    return mend


FAULTS = pytest.mark.parametrize("fault", [_stream_without_room, _full_spool])


@FAULTS
async def test_a_request_whose_tool_is_not_on_the_trail_is_503(fleet: Bench, fake: FakeLlm, fault: Fault) -> None:
    """The tool does not run, the model is not asked to try something else, the caller is told why; later it runs."""
    async with serving(fleet, "greeter") as agent:
        ops, gate = await caller(fleet), Gate()
        fake.script = [Held(CHANGE, gate), CHANGE, Say("done")]
        asking = asyncio.ensure_future(ops.send_message("greeter", saying("change")))
        await gate.reached.wait()
        mend = await fault(agent, fleet)
        gate.release.set()
        with pytest.raises(Unavailable, match="the audit trail cannot be written") as refusal:
            await asking
        assert float(refusal.value.metadata["retry_after_s"]) > 0
        assert len(fake.requests) == 1
        await mend()
        assert await trail(fleet, agent, kind="proposal.sent") == []
        await ops.send_message("greeter", saying("change"))
        assert len(await trail(fleet, agent, kind="proposal.sent")) == 1


@FAULTS
async def test_a_task_whose_tool_is_not_on_the_trail_is_done_later(fleet: Bench, fake: FakeLlm, fault: Fault) -> None:
    """A durable task that has begun when the trail is lost has no effect and no end; delivered again, it has both, once."""
    async with serving(fleet, "greeter") as agent:
        ops, gate = await caller(fleet), Gate()
        fake.script = [Held(CHANGE, gate), CHANGE, Say("done")]
        task = await ops.leave_task("greeter", saying("change"))
        await gate.reached.wait()
        mend = await fault(agent, fleet)
        gate.release.set()

        async def is_given_back() -> bool:
            return agent.places.running == 0

        await until(is_given_back)
        await mend()
        assert not (await ops.get_task("greeter", task)).is_final
        assert await trail(fleet, agent, kind="proposal.sent") == []

        async def is_done() -> bool:
            return (await ops.get_task("greeter", task)).status.state == a2a.COMPLETED

        await until(is_done, timeout_s=20)
        assert len(await trail(fleet, agent, kind="proposal.sent")) == 1
