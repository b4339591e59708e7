"""`tracestate` over a real server: an agent that asks others carries it on, in requests, streams and durable tasks."""

from __future__ import annotations

import pytest

from agents.skill import Context, skill
from bus import trace
from schemas import a2a, names, protojson
from tests.harness.agent import saying, serving
from tests.harness.fleet import Bench, until

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
HEADERS = {names.A2A_VERSION: "1.0"}


def _state() -> str:
    here = trace.current()
    return here.state if here else "no trace"


@skill(description="Says which state reached it.", id="state")
async def said(request: str, ctx: Context) -> str:
    return _state()


@skill(description="Asks for the state that reaches another.", id="asks")
async def asks(request: str, ctx: Context) -> str:
    return await ctx.ask("greeter", request)


@skill(description="Leaves a task that says which state reached it.", id="leaves")
async def leaves(request: str, ctx: Context) -> str:
    return await ctx.calls.leave_task("greeter", saying(request))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"traceparent": TRACE, "tracestate": STATE}, STATE),
        ({"Traceparent": TRACE, "TraceState": STATE}, STATE),
        ({"tracestate": STATE}, ""),
        ({"traceparent": "00-x", "tracestate": STATE}, ""),
        ({"traceparent": TRACE, "tracestate": f"{STATE},Bad=1"}, ""),
        ({"traceparent": TRACE}, ""),
    ],
)
async def test_a_request_carries_it_to_who_is_asked(fleet_bench: Bench, headers: dict[str, str], expected: str) -> None:
    """It arrives unchanged two agents away, where it is valid and belongs to a trace; else nothing arrives."""
    plain = await fleet_bench.attacker("ops")
    async with serving(fleet_bench, "concierge", asks), serving(fleet_bench, "greeter", said):
        body = protojson.encode(saying("x"))
        answer = await plain.client.request(
            "a2a.v1.req.concierge.ops.SendMessage", body, timeout=5, headers=HEADERS | headers
        )
    response = protojson.decode(answer.data, a2a.SendMessageResponse)
    assert response.message is not None
    assert response.message.text() == expected


async def test_a_durable_task_carries_it(fleet_bench: Bench) -> None:
    """A task that an agent leaves for another has the state of the work in which it was left."""
    plain = await fleet_bench.attacker("ops")
    async with serving(fleet_bench, "concierge", leaves), serving(fleet_bench, "greeter", said) as greeter:
        body = protojson.encode(saying("x"))
        answer = await plain.client.request(
            "a2a.v1.req.concierge.ops.SendMessage", body, timeout=5,
            headers=HEADERS | {"traceparent": TRACE, "tracestate": STATE},
        )  # fmt: skip
        left = protojson.decode(answer.data, a2a.SendMessageResponse).message
        assert left is not None

        async def is_done() -> bool:
            record = await greeter.book.find("concierge", left.text())
            return record is not None and record.task.is_final

        await until(is_done)
        task = await greeter.book.get("concierge", left.text())
    assert [part.text for part in task.artifacts[0].parts] == [STATE]
