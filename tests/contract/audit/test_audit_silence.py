"""A producer that falls silent is found by who reads the trail."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from bus.audit.emit import ALIVE_S, Audit, Options
from bus.audit.producer import Producer
from bus.audit.questions.silence import Silences
from bus.audit.read import Reader
from bus.audit.told import told
from bus.credentials import Credential
from schemas import names
from tests.harness.agent import trail
from tests.harness.fleet import Bench, until


async def opened(bench: Bench, agent: str, options: Options | None = None) -> Audit:
    own = await bench.connect(agent, names.OWN_CREDENTIAL)
    credential = Credential.find(bench.home.credentials(agent), names.AUDIT_CREDENTIAL)
    producer = Producer(agent, "0", is_agent=True)
    return await Audit.open(own, producer, credential, bench.home.state(agent) / "audit", options)


async def silent(bench: Bench, later_s: float) -> list[str]:
    """Who is silent at a later time."""
    auditor = await bench.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor"))
    silences = Silences()
    async for record in Reader(auditor).records():
        for one in told(record):
            silences.add(one)
    return [found.writer for found in silences.found(datetime.now(UTC) + timedelta(seconds=later_s))]


async def test_who_has_nothing_to_tell_says_that_it_is_there(fleet_bench: Bench) -> None:
    """Again and again, beside others who have much to tell."""
    quiet = await opened(fleet_bench, "greeter", Options(alive_s=0.05))
    busy = await opened(fleet_bench, "textstats", Options(alive_s=0.05))

    async def is_heard() -> bool:
        busy.emit("request.received", action="x")
        heard = [event for event in await trail(fleet_bench) if event.short_type == "process.alive"]
        return len([event for event in heard if event.source.endswith(":greeter")]) >= 2

    await until(is_heard, timeout_s=30, every_s=0.01)
    await asyncio.gather(quiet.close(), busy.close())


async def test_a_process_that_neither_ends_nor_speaks_is_silent(fleet_bench: Bench) -> None:
    """Two hours after its last event, not earlier; one that ended in order never."""
    for agent, last in (("greeter", "process.started"), ("textstats", "process.stopped")):
        audit = await opened(fleet_bench, agent)
        audit.emit(last, action="x")
        await audit.close()
    assert await silent(fleet_bench, ALIVE_S) == []
    assert await silent(fleet_bench, 3 * ALIVE_S) == ["greeter"]
