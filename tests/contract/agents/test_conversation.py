"""Agents that ask agents: one conversation on the trail, however many processes it crosses."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack

import msgspec
import pytest
from msgspec.structs import replace

from bus.trace import entered, new_trace
from schemas import protojson
from schemas.errors import PermissionDenied, Unavailable
from tests.contract.agents.skills import curious, echo
from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fleet import Bench


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The greeter answers offline."""
    for key in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)


async def test_a_conversation_is_one_on_the_trail(fleet_bench: Bench) -> None:
    """An agent that asks two others: every event has the caller's correlation and trace, and each its cause."""
    async with AsyncExitStack() as stack:
        agents = [
            await stack.enter_async_context(serving(fleet_bench, name))
            for name in ("greeter", "textstats", "concierge")
        ]
        ops = await caller(fleet_bench)
        with entered(replace(new_trace(), correlation="case-7")) as trace:
            answer = await ops.send_message("concierge", saying("hello"))
        events = await trail(fleet_bench, *agents)
    assert answer.message is not None
    assert answer.message.text() == "Hi there! You said: hello (5 words)"
    assert {event.correlationid for event in events} == {"case-7"}
    assert {str(event.traceparent).split("-")[1] for event in events} == {trace.trace_id}
    known = {event.id for event in events}
    assert {event.causationid for event in events} - {msgspec.UNSET} <= known
    kinds = {kind: [e for e in events if e.short_type == kind] for kind in {event.short_type for event in events}}
    (received,) = (e for e in kinds["request.received"] if e.source.endswith(":concierge"))
    sent = {event.data.resource: event for event in kinds["request.sent"]}
    assert set(sent) == {"greeter", "textstats"}
    for name, event in sent.items():
        assert event.causationid == received.id
        (asked,) = (e for e in kinds["request.received"] if e.source.endswith(f":{name}"))
        assert (asked.data.actor, asked.causationid) == ("concierge", event.id)
    assert len(kinds["llm.called"]) == 1
    assert fleet_bench.violations == []


async def test_the_trail_has_no_payload_but_its_digest(fleet_bench: Bench) -> None:
    """Of a request's content, only size and digest are on the trail: whoever holds the bytes can prove them."""
    request = saying("a very private sentence")
    async with serving(fleet_bench, "greeter") as agent:
        await (await caller(fleet_bench)).send_message("greeter", request)
        (received,) = await trail(fleet_bench, agent, kind="request.received")
        everything = await trail(fleet_bench, agent)
    payload = protojson.encode(request)
    assert (received.data.actor, received.data.size) == ("ops", len(payload))
    assert received.data.payload_sha256 == hashlib.sha256(payload).hexdigest()
    assert b"private" not in msgspec.json.encode(everything)


async def test_an_agent_that_is_down_is_named_to_the_caller(fleet_bench: Bench) -> None:
    """When the agent in the middle finds nobody behind it, its caller is told so at once."""
    async with serving(fleet_bench, "concierge"):
        ops = await caller(fleet_bench)
        with pytest.raises(Unavailable, match="greeter"):
            await ops.send_message("concierge", saying("hello"), timeout_s=3600)


async def test_an_agent_may_ask_only_whom_the_fleet_file_names(fleet_bench: Bench) -> None:
    """A skill that asks an agent outside its `asks` gets no further than the server, and learns it at once."""
    async with serving(fleet_bench, "textstats", curious) as asker, serving(fleet_bench, "greeter", echo) as greeter:
        ops = await caller(fleet_bench)
        with pytest.raises(PermissionDenied, match="does not let textstats ask greeter"):
            await ops.send_message("textstats", saying("hello"), timeout_s=3600)
        received = await trail(fleet_bench, asker, greeter, kind="request.received")
        assert [event.source for event in received] == ["urn:agentbus:agent:textstats"]
    assert any("a2a.v1.req.greeter.textstats.sendmessage" in said.lower() for said in fleet_bench.violations)
