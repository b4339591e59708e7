"""The discovery of ADR-32: found by all, by name and by id; answered only where tools wait; gone when stopped."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats.errors
import pytest

from bus.discovery.micro import Micro, Service
from tests.contract.agents.skills import echo
from tests.harness.agent import Agent, caller, saying, serving
from tests.harness.fleet import Attacker, Bench, until


async def _micro(agent: Agent, instance: str) -> Micro:
    service = Service(
        name=agent.id, instance=instance, version="1.2.3", description="Says it again.", metadata={"tree": "abc"}
    )
    micro = Micro(agent.bus, service, agent.responder.counts)
    await micro.start()
    await agent.bus.flush()
    return micro


async def _all(plain: Attacker, subject: str, count: int) -> list[dict[str, Any]]:
    inbox = plain.client.new_inbox()
    listening = await plain.client.subscribe(inbox)
    await plain.client.publish(subject, b"", reply=inbox)
    return [json.loads((await listening.next_msg(timeout=5)).data) for _ in range(count)]


async def test_two_instances_are_two_services_of_one_name(fleet_bench: Bench) -> None:
    """Each instance answers with its own id; a question to one id is answered by that one."""
    async with serving(fleet_bench, "textstats", echo) as one, serving(fleet_bench, "textstats", echo, slot="1") as two:
        await _micro(one, "i-1")
        await _micro(two, "i-2")
        plain = await fleet_bench.attacker("ops")
        for subject in ("$SRV.PING", "$SRV.PING.textstats"):
            answers = await _all(plain, subject, 2)
            assert sorted(answer["id"] for answer in answers) == ["i-1", "i-2"]
        answer = json.loads((await plain.client.request("$SRV.INFO.textstats.i-2", b"", timeout=5)).data)
        assert (answer["type"], answer["id"]) == ("io.nats.micro.v1.info_response", "i-2")


async def test_statistics_are_of_the_instance_that_answered(fleet_bench: Bench) -> None:
    """Requests, errors and times are those of this process, with `data` an object in each endpoint."""
    async with serving(fleet_bench, "textstats", echo) as agent:
        await _micro(agent, "i-1")
        ops, plain = await caller(fleet_bench), await fleet_bench.attacker("ops")
        for _ in range(3):
            await ops.send_message("textstats", saying("a"))
        await plain.client.request("a2a.v1.req.textstats.ops.SendMessage", b"{}", timeout=5)

        async def sent() -> dict[str, Any]:
            stats = json.loads((await plain.client.request("$SRV.STATS.textstats", b"", timeout=5)).data)
            counts = next(row for row in stats["endpoints"] if row["name"] == "SendMessage")
            return counts if counts["num_requests"] == 4 else {}

        counts = await until(sent)
    assert (counts["num_errors"], counts["last_error"], counts["data"]) == (1, "VERSION_NOT_SUPPORTED", {})


async def test_an_answer_goes_to_an_inbox_of_tools_only(fleet_bench: Bench) -> None:
    """A question that names another reply subject, such as a caller's or a stream's, is not answered."""
    async with serving(fleet_bench, "textstats", echo) as agent:
        await _micro(agent, "i-1")
        plain = await fleet_bench.attacker("ops")
        reply = "a2a.v1.rep.ops.textstats.x.1"
        listening = await plain.client.subscribe(reply)
        await plain.client.publish("$SRV.PING.textstats", b"", reply=reply)
        await plain.client.request("$SRV.PING.textstats", b"", timeout=5)  # the one after it has been answered
        assert listening.pending_msgs == 0, "on one connection an answer to the first would have come before this one"


async def test_agents_may_not_listen_in_anothers_name(fleet_bench: Bench) -> None:
    """An agent's key may subscribe to the questions to its own name, not to those to others; it may ask nobody."""
    plain = await fleet_bench.attacker("greeter")
    await plain.client.subscribe("$SRV.PING.textstats")
    await plain.client.publish("$SRV.PING", b"", reply="_INBOX.x")

    async def are_refused() -> bool:
        return len(plain.errors) == 2

    await until(are_refused)


async def test_a_stopped_service_is_found_no_more(fleet_bench: Bench) -> None:
    """After `stop` there are no responders to its name, while the connection still works."""
    async with serving(fleet_bench, "textstats", echo) as agent:
        micro = await _micro(agent, "i-1")
        await micro.stop()
        plain = await fleet_bench.attacker("ops")
        with pytest.raises(nats.errors.NoRespondersError):
            await plain.client.request("$SRV.PING.textstats", b"", timeout=5)
        await asyncio.wait_for((await caller(fleet_bench)).send_message("textstats", saying("a")), 30)
