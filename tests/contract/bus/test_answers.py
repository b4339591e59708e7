"""Requests that arrive in one read of the socket: written down before work, answered after it is written down."""

from __future__ import annotations

import asyncio
from typing import Any

from agents.skill import Context, Skill, skill
from bus.wire import Msg
from schemas import names
from tests.contract.bus.test_requests import _payload
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.fleet import Bench

MANY = 40


def counting(seen: list[int], agents: list[Agent]) -> Skill:
    """Notes how many events its agent's spool holds when it runs."""

    @skill(description="Looks at the spool.")
    async def look(request: str, ctx: Context) -> str:
        seen.append(len(agents[0].audit._spool._sizes))
        return request

    return look


def burst(agent: Agent, *payloads: bytes) -> None:
    """Hand the responder requests as one read of the socket does."""
    headers = {names.A2A_VERSION: "1.0"}
    for number, payload in enumerate(payloads):
        message = Msg("a2a.v1.req.textstats.ops.SendMessage", f"_INBOX.ops.burst.{number}", payload)
        message._headers, message._lowered = headers, {name.lower(): value for name, value in headers.items()}
        agent.responder._on_message(message)
    agent.bus._client.end_read()


async def test_all_of_a_read_is_written_down_before_any_of_it_is_worked_on(fleet_bench: Bench) -> None:
    """A worker that dies in its first handler leaves on its spool what it had taken in; each request is answered once."""
    seen: list[int] = []
    agents: list[Agent] = []
    async with serving(fleet_bench, "textstats", counting(seen, agents)) as agent:
        agents.append(agent)
        await agent.audit.confirm()
        ops = await fleet_bench.attacker("ops")
        answers: list[bytes] = []
        is_full = asyncio.Event()

        async def on_answer(message: Any) -> None:
            answers.append(message.data)
            if len(answers) == MANY:
                is_full.set()

        await ops.client.subscribe("_INBOX.ops.burst.*", cb=on_answer)
        await ops.client.flush()
        burst(agent, *(_payload({"text": f"text {number}"}) for number in range(MANY)))
        assert seen == [MANY] * MANY
        assert len(agent.audit._spool._sizes) == 2 * MANY, "answered is written down before anything is sent"
        async with asyncio.timeout(10):
            await is_full.wait()
        assert len({answer for answer in answers if b"text" in answer}) == MANY
        events = await trail(fleet_bench, agent)
    kinds = [event.short_type for event in events if event.short_type.startswith("request.")]
    assert kinds == ["request.received"] * MANY + ["request.answered"] * MANY


async def test_one_bad_request_of_a_read_costs_the_others_nothing(fleet_bench: Bench) -> None:
    """Each is decided for itself: refused, failed or answered."""

    @skill(description="Fails when it is told to.")
    async def fragile(request: str, ctx: Context) -> str:
        if request == "fail":
            raise ValueError
        return request

    async with serving(fleet_bench, "textstats", fragile) as agent:
        burst(agent, _payload({"text": "a"}), _payload({"text": "fail"}), _payload(), _payload({"text": "b"}))
        events = await trail(fleet_bench, agent)
    outcomes = [event.data.outcome for event in events if event.short_type in {"request.answered", "request.refused"}]
    assert sorted(outcomes) == ["denied", "failure", "success", "success"]


async def test_without_a_trail_nothing_of_a_read_is_begun(fleet_bench: Bench) -> None:
    """When the spool refuses, every request of the read is answered with 503, and no handler ran."""
    seen: list[int] = []
    agents: list[Agent] = []
    async with serving(fleet_bench, "textstats", counting(seen, agents)) as agent:
        agents.append(agent)
        ops = await caller(fleet_bench)
        await agent.audit.confirm()
        limit, agent.audit._spool._limit = agent.audit._spool._limit, 100
        burst(agent, _payload({"text": "a"}), _payload({"text": "b"}))
        assert seen == []
        refused = [counts.num_errors for counts in agent.responder.counts.values() if counts.num_errors]
        assert refused == [2]
        agent.audit._spool._limit = limit
        answer = await ops.send_message("textstats", saying("again"))
        assert answer.message is not None
        assert len(seen) == 1
