"""Reading and verifying what a real server holds, and what an attacker made of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.audit.emit import Audit
from bus.audit.producer import Producer
from bus.audit.read import Reader, Record
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from schemas import names
from schemas.audit import decode_event
from schemas.errors import PermissionDenied
from tests.contract.audit.audit_server import AuditServer, audit_server

GREETER = Producer("greeter", "0", is_agent=True)
APPROVALS = Producer("approvals", "0", is_agent=False)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AuditServer]:
    async with audit_server(tmp_path, (GREETER, APPROVALS)) as server:
        yield server


async def write(server: AuditServer, events: int, producer: Producer = GREETER) -> None:
    connection = await server.connect(producer.name)
    directory = server.root / "state" / producer.name
    audit = await Audit.open(connection, producer, server.signing(producer.name), directory)
    for number in range(events):
        audit.emit("request.received", actor="ops", action="SendMessage", size=number)
        if number % 10 == 9:
            await audit.confirm()
    await audit.confirm()
    await audit.close()


async def verdict(server: AuditServer, *, with_heads: bool = True) -> Report:
    heads = find_heads(server.root / "state") if with_heads else []
    return await verify_stream(Reader(await server.connect("auditor")), server.trust, heads)


async def read(server: AuditServer, batch: int = 1000, start: int = 1, subject: str = "") -> list[Record]:
    reader = Reader(await server.connect("auditor"), batch=batch)
    return [record async for record in reader.records(start, subject=subject)]


@pytest.mark.parametrize("batch", [1, 7, 25, 1000])
async def test_reading_yields_everything_once(server: AuditServer, batch: int) -> None:
    """Whatever the batch size, every record comes once, in order, with its own headers only."""
    await write(server, 25)
    records = await read(server, batch)
    assert [record.sequence for record in records] == list(range(1, 26))
    assert {decode_event(record.payload).data.size for record in records} == set(range(25))
    assert not [
        name for record in records for name in record.headers if name.lower() in names.JETSTREAM_DELIVERY_HEADERS
    ]
    assert [record.sequence for record in await read(server, batch, start=20)] == list(range(20, 26))


async def test_reading_one_subject(server: AuditServer) -> None:
    """A filter yields the records of one producer alone, with their places on the whole stream."""
    await write(server, 5)
    await write(server, 5, APPROVALS)
    await write(server, 5)
    records = await read(server, 3, subject=f"{GREETER.prefix}>")
    assert [record.sequence for record in records] == [*range(1, 6), *range(11, 16)]
    assert await read(server, subject="audit.agent.nobody.>") == []


async def test_following_sees_what_comes_later(server: AuditServer) -> None:
    """With `follow`, events that are written after the reading began arrive, also across a restart of the server."""
    reader = Reader(await server.connect("auditor"), timeout_s=0.5)
    seen: list[int] = []

    async def follow() -> None:
        async for record in reader.records(follow=True, poll_s=0.02):
            seen.append(record.sequence)
            if record.sequence == 6:
                return

    following = asyncio.create_task(follow())
    await write(server, 3)
    server.stop()
    server.start()
    await write(server, 3)
    async with asyncio.timeout(20):
        await following
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_an_auditor_can_read_and_nothing_else(server: AuditServer) -> None:
    """The auditor's rights are enough to read, and there is no way to write or to change the stream."""
    await write(server, 1)
    auditor = await server.connect("auditor")
    for subject in (GREETER.subject("request"), "$JS.API.STREAM.DELETE.AUDIT", "$JS.API.STREAM.UPDATE.AUDIT"):
        with pytest.raises(PermissionDenied):
            await auditor.request(subject, b"{}", timeout_s=30)
    assert len(await read(server)) == 1


async def test_headers_that_only_the_server_may_add_are_evidence(server: AuditServer) -> None:
    """A producer that forges a place, an end or a subject in its headers fools nobody: it is found where it is."""
    await write(server, 3)
    forger = await server.connect("greeter")
    forged = (
        {"Nats-Sequence": "1", "Nats-Subject": "audit.sys.approvals.0.proposal"},
        {"Status": "404", "Description": "Message Not Found"},
        {"nats-last-sequence": "1"},
    )
    for headers in forged:
        await forger.request(GREETER.subject("request"), b"{}", headers=headers, timeout_s=2)
    await write(server, 3)
    records = await read(server, 2)
    assert [record.sequence for record in records] == list(range(1, 10))
    assert [bool(record.problem) for record in records] == [False] * 3 + [True] * 3 + [False] * 3
    report = await verdict(server)
    assert (report.verdict, report.first_bad) == ("tampered", 4)
    assert [finding.sequence for finding in report.findings if "forged" in finding.problem] == [4, 5, 6]


async def test_an_event_without_a_batch_signature_is_evidence(server: AuditServer) -> None:
    """Who can publish as an agent but does not have its audit key cannot add an event unseen."""
    await write(server, 3)
    last = (await read(server))[-1]
    intruder = await server.connect("greeter")
    await intruder.request(last.subject, last.payload, headers={names.MSG_ID: "x"}, timeout_s=2)
    report = await verdict(server)
    assert (report.verdict, report.exit_code, report.first_bad) == ("tampered", 1, 4)


async def test_a_server_that_is_away_proves_nothing(server: AuditServer) -> None:
    """Without a server there is no verdict: exit code 2."""
    await write(server, 3)
    reader = Reader(await server.connect("auditor"), timeout_s=0.2)
    server.stop()
    report = await verify_stream(reader, server.trust)
    assert (report.verdict, report.exit_code) == ("cannot tell", 2)


async def test_a_deleted_stream_is_evidence_only_for_who_remembers(server: AuditServer) -> None:
    """A stream that is gone or new is tampering when a host remembers events, and no verdict otherwise."""
    await write(server, 3)
    admin = await server.connect("admin")
    await admin.request("$JS.API.STREAM.DELETE.AUDIT", timeout_s=5)
    assert (await verdict(server)).verdict == "tampered"
    assert (await verdict(server, with_heads=False)).verdict == "cannot tell"
    await server.create_stream()
    report = await verdict(server)
    assert (report.verdict, report.first_bad) == ("tampered", 1)
    assert (await verdict(server, with_heads=False)).verdict == "cannot tell"
    await write(server, 1)
    report = await verdict(server, with_heads=False)
    assert (report.verdict, report.first_bad) == ("tampered", 1)
    assert "events 1 to 3 of this slot are missing" in report.findings[0].problem


@pytest.mark.parametrize("is_index_gone", [True, False])
@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_changed_byte_in_the_store_is_evidence(
    server: AuditServer, *, is_index_gone: bool, goes_on: bool
) -> None:
    """A byte changed in the server's files, wherever the server then cuts its stream, does not pass as sound."""
    await write(server, 60)
    assert (await verdict(server)).verdict == "sound"
    server.stop()
    block = next(server.store.rglob("*.blk"))
    before = block.read_bytes()
    block.write_bytes(before.replace(b'"size":37}', b'"size":73}'))
    assert block.read_bytes() != before
    if is_index_gone:
        for index in server.store.rglob("index.db"):
            index.unlink()
    server.start()
    if goes_on:
        await write(server, 5)
    report = await verdict(server)
    assert (report.verdict, report.exit_code) == ("tampered", 1)
    assert report.first_bad is not None
    assert 31 <= report.first_bad <= 38, "the place is within the batch of the changed event"


async def test_verification_while_events_are_written(server: AuditServer) -> None:
    """A batch that is being stored while the auditor reads is not taken for a cut one."""
    connection = await server.connect("greeter")
    audit = await Audit.open(connection, GREETER, server.signing("greeter"), server.root / "state" / "greeter")
    is_done = asyncio.Event()

    async def produce() -> None:
        while not is_done.is_set():
            for _ in range(50):
                audit.emit("request.received", action="x")
            await (audit.confirm(30) if audit.fill > 0.002 else asyncio.sleep(0))

    producing = asyncio.create_task(produce())
    reports = [await verdict(server)]
    async with asyncio.timeout(60):
        while len(reports) < 5:  # of a trail that has grown each time
            report = await verdict(server)
            if report.events > reports[-1].events:
                reports.append(report)
    is_done.set()
    await producing
    await audit.close(timeout_s=20)
    assert [(report.verdict, report.findings) for report in reports[1:]] == [("sound", ())] * 4
    final = await verdict(server)
    assert (final.verdict, final.events > 0) == ("sound", True)
