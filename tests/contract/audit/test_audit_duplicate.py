"""The stream says that it knows a batch already: an answer that got lost, or somebody else's message under its ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.audit.emit import Audit, Options
from bus.audit.packing import packed
from bus.audit.producer import Producer
from bus.audit.read import Reader, events_of
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from bus.audit.writing import store
from bus.audit.writing.store import IdTaken, SlotStore
from schemas import names
from schemas.audit import AuditEvent, decode_event
from tests.contract.audit.audit_server import AuditServer, audit_server

GREETER, OTHER = Producer("greeter", "0", is_agent=True), Producer("other", "0", is_agent=True)
SIZES = [1, 3, 40]
"""Events in a batch: one message, three of them, one with all."""


@pytest.fixture(autouse=True)
def _short_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_BEHIND_S", 0.2)  # one server has no copies that could be behind


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AuditServer]:
    async with audit_server(tmp_path, (GREETER, OTHER)) as server:
        yield server


async def opened(server: AuditServer) -> Audit:
    """Nothing is sent before somebody waits for it."""
    connection, directory = await server.connect("greeter"), server.root / "state" / "greeter" / "audit"
    return await Audit.open(connection, GREETER, server.signing("greeter"), directory, Options(linger_s=3600))


async def seen(server: AuditServer, producer: Producer) -> tuple[list[AuditEvent], Report]:
    """The events of one producer, in order, and the verdict on its own part of the trail."""
    reader = Reader(await server.connect("auditor"))
    records = [record async for record in reader.records()]
    ours = [record for record in records if record.subject.startswith(producer.prefix)]
    report = await verify_stream(reader, server.trust, find_heads(server.root / "state"))
    return [decode_event(event.payload) for record in ours for event in events_of(record)], report


def filled(audit: Audit, size: int) -> None:
    for number in range(size):
        audit.emit("request.received", action="x", size=number)


@pytest.mark.parametrize("size", SIZES)
async def test_an_id_that_somebody_else_took_keeps_nothing_out(server: AuditServer, size: int) -> None:
    """Who knows an event before it is stored can use its id on a subject of its own: the event is stored all the same,
    once, under a fresh id; the trail says after it that this happened; the next batch is none the worse."""
    audit, intruder = await opened(server), await server.connect("other")
    filled(audit, size)
    taken = packed(list(audit._publisher._pending))[-1].digest
    await intruder.request(OTHER.subject("request"), b"{}", headers={names.MSG_ID: taken}, timeout_s=5)
    await audit.confirm(20)
    filled(audit, size)
    await audit.close(20)
    events, report = await seen(server, GREETER)
    kinds = [event.short_type for event in events]
    incident = kinds.index("audit.duplicate_refused")
    assert kinds == ["request.received"] * size + ["audit.duplicate_refused"] + ["request.received"] * size
    assert (events[incident].severitytext, events[incident].data.metadata) == ("ERROR", {"events": size})
    assert [event.sequence for event in events] == list(range(1, 2 * size + 2))
    assert [finding.sequence for finding in report.findings] == [1], (
        "the intruder's message, and nothing of the greeter's"
    )


@pytest.mark.parametrize("size", SIZES)
async def test_a_batch_of_ours_that_is_there_already_is_no_incident(server: AuditServer, size: int) -> None:
    """The same bytes are on the slot, from a process that is gone for example: they are there once, and that is all."""
    audit = await opened(server)
    filled(audit, size)
    earlier = SlotStore(await server.connect("greeter"), GREETER, server.signing("greeter"))
    await earlier.append(list(audit._publisher._pending), 0)
    await audit.confirm(20)
    filled(audit, size)
    await audit.close(20)
    events, report = await seen(server, GREETER)
    assert [event.data.size for event in events] == [*range(size), *range(size)]
    assert (report.verdict, report.findings) == ("sound", ())


@pytest.mark.parametrize("size", SIZES)
async def test_the_server_says_that_it_knows_a_batch(server: AuditServer, size: int) -> None:
    """A batch that is sent again as it was is refused as known, whether it is one message or several."""
    audit = await opened(server)
    filled(audit, size)
    batch = list(audit._publisher._pending)
    slot = SlotStore(await server.connect("greeter"), GREETER, server.signing("greeter"))
    last = await slot.append(batch, 0)
    with pytest.raises(IdTaken):
        await slot.append(batch, last)
    await audit.close(20)
