"""The stream is away or refuses for long: what the spool keeps meanwhile, and what comes of it afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bus.audit.emit import Audit, Options
from bus.audit.event import Happened
from bus.audit.read import Reader, events_of
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from bus.audit.writing import publisher, spool, store
from bus.audit.writing.head import read_head
from bus.errors import AuditUnavailable
from schemas.audit import AuditEvent, decode_event
from tests.contract.audit.audit_server import AuditServer
from tests.faults.stage import GREETER
from tests.harness.disk import small_disk
from tests.harness.fleet import until

KINDS = ("request.received", "llm.called")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AuditServer]:
    server = AuditServer(tmp_path, (GREETER,))
    server.start()
    try:
        yield server
    finally:
        await server.close()


async def opened(server: AuditServer, options: Options | None = None, url: str = "") -> Audit:
    connection = await server.connect("greeter", url)
    return await Audit.open(connection, GREETER, server.signing("greeter"), server.root / "state", options)


async def stored(server: AuditServer) -> tuple[list[AuditEvent], Report]:
    """Every event on the stream, and the verdict."""
    reader = Reader(await server.connect("auditor"))
    report = await verify_stream(reader, server.trust, find_heads(server.root / "state"))
    return [decode_event(event.payload) async for record in reader.records() for event in events_of(record)], report


async def test_events_of_an_outage_are_made_durable_while_it_lasts(
    server: AuditServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event reaches the disk soon, also one that is emitted while an earlier batch waits for its answer."""
    durable = [0]

    def recorded(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        spool.sync(descriptor)
        durable.append(size)

    monkeypatch.setattr(store, "_REQUEST_TIMEOUT_S", 3600)  # the first batch is never given up
    monkeypatch.setattr(publisher, "sync", recorded)
    await server.create_stream()
    audit = await opened(server)

    async def is_durable() -> bool:
        return durable[-1] == (server.root / "state" / "spool").stat().st_size

    assert server.process
    server.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            audit.emit("request.received", action="x")
            await until(is_durable)
    finally:
        server.process.send_signal(signal.SIGCONT)
    await audit.confirm()
    await audit.close()


async def test_a_minute_without_a_server_under_load(server: AuditServer) -> None:
    """More than ten thousand events of an outage arrive once, in order, with what is emitted while they are sent, and
    one event says how many waited how long."""
    clock = [1_763_000_000_000_000_000]
    await server.create_stream()
    audit = await opened(server, Options(now=lambda: clock[0]))
    emitted = 0

    def emit(count: int) -> None:
        nonlocal emitted
        batch = [
            Happened(kind=KINDS[number // 7 % 2], action="x", size=number) for number in range(emitted, emitted + count)
        ]
        audit.emit_all(batch)
        emitted += count

    emit(100)
    await audit.confirm()
    server.stop(signal.SIGKILL)
    for _ in range(60):
        emit(200)
        clock[0] += 1_000_000_000
        await asyncio.sleep(0)
    waiting = emitted - 100
    server.start()
    while audit.fill:
        if emitted < 100 + waiting + 2000:
            emit(10)
        await audit.catch_up()
        await asyncio.sleep(0)
    await audit.confirm()
    await audit.close()
    events, report = await stored(server)
    numbers = [event.data.size for event in events if event.data.size is not None]
    assert waiting > 10_000
    assert numbers == list(range(emitted))
    backlogs = [event.data.metadata for event in events if event.short_type == "audit.backlog"]
    assert [backlog["waited_s"] for backlog in backlogs] == [60.0]
    assert (report.verdict, report.findings) == ("sound", ())


async def test_a_refusal_is_no_alarm(server: AuditServer) -> None:
    """A stream that has no room for the first events of a slot has not lost any."""
    await server.create_stream(max_msgs=1)
    audit = await opened(server)
    with capture_logs() as logged:
        audit.emit_all([Happened(kind=kind, action="x") for kind in KINDS])

        async def was_refused_twice() -> bool:
            return len(logged) > 1

        await until(was_refused_twice)
    await audit.close(0)
    assert {line["event"] for line in logged} == {"audit.batch_unconfirmed"}


async def test_a_damaged_spool_is_told_of(server: AuditServer) -> None:
    """Where a byte of the spool has changed, what comes before is sent; the rest is kept in a file, and the trail says so."""
    await server.create_stream()
    audit = await opened(server)
    server.stop()
    for number in range(10):
        audit.emit("request.received", action="x", size=number)
    await audit.close(0)
    spool = server.root / "state" / "spool"
    content = bytearray(spool.read_bytes())
    content[len(content) // 2] ^= 1
    spool.write_bytes(content)
    server.start()
    await (await opened(server)).close()
    events, report = await stored(server)
    *before, told = events
    assert [event.data.size for event in before] == list(range(5))
    kept = server.root / "state" / str(told.data.metadata["file"])
    assert told.short_type == "audit.spool_damaged"
    assert content.endswith(kept.read_bytes())
    assert (kept.stat().st_size, kept.stat().st_mode & 0o777) == (told.data.metadata["bytes"], 0o600)
    assert (report.verdict, report.findings) == ("sound", ())


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_disk_that_the_spool_filled_has_room_again(server: AuditServer, is_restarted: bool) -> None:
    """On a file system without a byte left, what is confirmed is cut off the spool, and events are taken again, by the
    same process or by the next one."""
    await server.create_stream()
    with small_disk(server.root / "state", 256 * 1024):
        audit = await opened(server)
        audit.emit("process.started", action="start")
        await audit.confirm()
        server.stop()
        with pytest.raises(AuditUnavailable, match="cannot be written"):  # noqa: PT012  which of them is not fixed
            for _ in range(1000):
                audit.emit("request.received", action="x")
        if is_restarted:
            await audit.close(0)
        server.start()
        audit = await opened(server) if is_restarted else audit
        await audit.confirm(20)
        audit.emit("request.received", action="there is room again")
        await audit.confirm()
        head = read_head(server.root / "state")
        await audit.close()
        events, report = await stored(server)
    assert events[-1].data.action == "there is room again"
    assert head
    assert head.counter == len(events)
    assert (report.verdict, report.findings) == ("sound", ())
