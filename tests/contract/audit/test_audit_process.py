"""What a process writes about itself, its connections and the witnesses, seen on a real trail."""

from __future__ import annotations

import signal
from pathlib import Path

from agents.processes.sealing import Told
from agents.processes.signs import Signs
from bus.audit.read import Reader, events_of
from schemas.audit import AuditEvent, decode_event
from tests.harness.agent import trail
from tests.harness.fleet import Bench, instance, until
from tests.harness.sealing import sealing, witness_of, write


async def until_told(bench: Bench, kind: str, count: int = 1) -> list[AuditEvent]:
    """The events of this kind, as soon as there are so many."""

    async def look() -> list[AuditEvent]:
        found = await trail(bench, kind=kind)
        return found if len(found) >= count else []

    return await until(look, timeout_s=30)


async def test_a_process_tells_of_its_life(fleet_bench: Bench, tmp_path: Path) -> None:
    """Its configuration, an outage and its end, a last run that was cut short, that it takes no more, that it ended."""
    state = tmp_path / "state"
    with instance(fleet_bench.home, "textstats", "0", state) as process:
        await until_told(fleet_bench, "process.started")
        await fleet_bench.server.stop()
        await fleet_bench.server.start()
        reconnected = await until_told(fleet_bench, "bus.reconnected", 2)
        process.kill()
    with instance(fleet_bench.home, "textstats", "0", state) as process:
        await until_told(fleet_bench, "process.started", 2)
        process.send_signal(signal.SIGTERM)
        await until_told(fleet_bench, "process.stopped")
    events = await trail(fleet_bench)
    kinds = [event.short_type for event in events if event.source.endswith(":textstats")]
    (resumed,) = [event for event in events if event.short_type == "process.resumed"]
    loaded = [event for event in events if event.short_type == "config.loaded"]
    lost = {event.data.reason for event in events if event.short_type == "bus.disconnected"}
    assert lost == {event.data.reason for event in reconnected} == {"textstats.own", "textstats.bus"}
    assert resumed.epoch == loaded[1].epoch != loaded[0].epoch
    assert loaded[0].data.metadata == loaded[1].data.metadata
    assert kinds[-2:] == ["process.draining", "process.stopped"]


async def test_what_the_server_refuses_a_process_is_told(fleet_bench: Bench) -> None:
    """A publish that the account does not allow is an error on the trail, with the subject."""
    signs = Signs()
    signs.audit = await fleet_bench.audit("greeter")
    bus = await fleet_bench.connect("greeter", on_violation=signs.on_violation)
    await bus.publish("audit.agent.textstats.0.request", b"{}")
    (violated,) = await until_told(fleet_bench, "bus.violated")
    assert (violated.severitytext, violated.data.outcome) == ("ERROR", "failure")
    assert "audit.agent.textstats.0.request" in violated.data.reason


async def test_a_witness_that_comes_and_goes_is_told_once_each(fleet_bench: Bench) -> None:
    """When a witness does not cosign, the trail says so with the reason; when it does again, that too; not each time."""
    audit = await fleet_bench.audit("greeter")
    told = Told(audit)
    async with sealing(fleet_bench) as running:
        await write(audit, 1)
        await running.until_sealed(1)
        for name in fleet_bench.fleet.witnesses:
            await witness_of(fleet_bench, name)
        for number in (3, 5):
            await write(audit, 1)
            await running.until_sealed(number)
        for said in running.said:
            told.cosigned(said)
        await audit.confirm()
        own = Reader(running.auditor).records(subject=audit.producer.subject("audit"))
        events = [decode_event(event.payload) async for record in own for event in events_of(record)]
    away, back = [[e for e in events if e.short_type == f"audit.{kind}"] for kind in ("unwitnessed", "witnessed")]
    expected = sorted(fleet_bench.fleet.witnesses)
    assert sorted(event.data.resource for event in away) == sorted(event.data.resource for event in back) == expected
    assert {event.data.reason for event in away} == {"it does not run"}
