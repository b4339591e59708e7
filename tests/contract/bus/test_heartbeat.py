"""Heartbeats on the real server: who may send them, who hears them, what is not believed."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import msgspec
import pytest

from bus.discovery.heartbeat import Heartbeats, Pulse
from bus.requests.flow import Bounds
from schemas import names
from schemas.heartbeat import Heartbeat, read_heartbeat
from tests.contract.agents.skills import Gate
from tests.harness.agent import caller, saying, serving
from tests.harness.fleet import CHECKOUT, Attacker, Bench, until

BEAT = Heartbeat(
    instance="one", started="2026-01-02T03:04:05.678Z", state="ready", interval_s=30, version="1.0.0", running=2
)
VERSION = {names.A2A_VERSION: "1.0"}


async def _publish(sender: Attacker) -> None:
    await sender.client.publish("a2a.v1.hb.textstats", msgspec.json.encode(BEAT), headers=VERSION)


async def _heard(bench: Bench, listener: str = "ops") -> list[tuple[str, Heartbeat]]:
    heard: list[tuple[str, Heartbeat]] = []
    heartbeats = Heartbeats(await bench.connect(listener), listener)
    await heartbeats.listen(lambda agent, beat: heard.append((agent, beat)))
    return heard


async def _until_states(heard: list[tuple[str, Heartbeat]], *states: str) -> None:
    async def is_there() -> bool:
        return [beat.state for _, beat in heard] == list(states)

    await until(is_there)


async def test_an_agent_speaks_for_itself_only(fleet_bench: Bench) -> None:
    """Another agent, an operator and the canary cannot publish an agent's heartbeat; nobody hears one."""
    heard = await _heard(fleet_bench)
    for principal in ("greeter", "directory", "ops", names.APPLIER):
        attacker = await fleet_bench.attacker(principal)
        assert "a2a.v1.hb.textstats" in await attacker.refused(partial(_publish, attacker))
    honest = await fleet_bench.attacker("textstats")
    await _publish(honest)
    await _until_states(heard, "ready")
    assert heard == [("textstats", BEAT)]


@pytest.mark.parametrize(
    ("payload", "headers"),
    [
        (msgspec.json.encode(BEAT), None),
        (msgspec.json.encode(BEAT), VERSION | {"Nats-Stream": "TASKS"}),
        (b"", VERSION),
        (b"{}", VERSION),
        (b"\xff", VERSION),
        (b"[" * 100_000, VERSION),
    ],
)
async def test_what_is_no_heartbeat_is_not_heard(
    fleet_bench: Bench, payload: bytes, headers: dict[str, str] | None
) -> None:
    """A message without the version, with marks of a JetStream delivery or of another form is passed over;
    the next heartbeat is heard."""
    heard = await _heard(fleet_bench, "directory")
    sender = await fleet_bench.attacker("textstats")
    await sender.client.publish("a2a.v1.hb.textstats", payload, headers=headers)
    await _publish(sender)
    await _until_states(heard, "ready")


async def test_a_pulse_beats_at_once_when_called_and_when_it_ends(fleet_bench: Bench) -> None:
    """The first heartbeat comes at once, the next on a roll call (the interval is half a minute), then that it
    drains, and a last one."""
    heard = await _heard(fleet_bench)
    pulse = Pulse(await fleet_bench.connect("textstats"), "textstats", lambda: BEAT)
    beating = asyncio.create_task(pulse.run())
    await _until_states(heard, "ready")
    await Heartbeats(await fleet_bench.connect("directory"), "directory").call_roll()
    await _until_states(heard, "ready", "ready")
    pulse.drain()
    await _until_states(heard, "ready", "ready", "draining")
    beating.cancel()
    await pulse.leave()
    await _until_states(heard, "ready", "ready", "draining", "leaving")
    assert {agent for agent, _ in heard} == {"textstats"}
    assert not fleet_bench.violations


async def test_the_load_is_all_that_is_at_work_and_what_waits(fleet_bench: Bench) -> None:
    """A request, a task that was answered before it was done, a stream's run and a durable task count alike; with all
    places taken one more request waits; afterwards nothing is left."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill, bounds=Bounds(max_concurrent=4)) as agent:
        ops = await caller(fleet_bench)

        async def load() -> tuple[int, int, int]:
            return agent.places.running, agent.places.queued, agent.responder.streams

        async def is_full() -> bool:
            return await load() == (4, 1, 1)

        async def is_idle() -> bool:
            return await load() == (0, 0, 0)

        asking = [asyncio.create_task(ops.send_message("textstats", saying("a")))]
        await gate.has_entered(1)
        await ops.leave_task("textstats", saying("b"))
        await ops.send_message("textstats", saying("c", return_immediately=True))
        stream = ops.stream("textstats", "SendStreamingMessage", saying("d"))
        await anext(stream)
        await gate.has_entered(4)
        asking.append(asyncio.create_task(ops.send_message("textstats", saying("e"))))
        await until(is_full)
        gate.opened.set()
        await asyncio.gather(*asking)
        assert [frame async for frame in stream]
        await until(is_idle)


def test_the_page_shows_a_heartbeat() -> None:
    """The sample in the binding document is one, with every field."""
    page = (CHECKOUT / "nats" / "BINDING.md").read_text()
    sample = re.search(r"^```json heartbeat\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert sample is not None
    shown = msgspec.json.decode(sample[1], type=dict[str, object])
    assert msgspec.to_builtins(read_heartbeat(sample[1].encode())) == shown
