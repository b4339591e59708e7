"""Producing events against the real server: chain, signatures, restarts, outages, fences."""

from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bus import trace
from bus.audit.emit import Audit, Options
from bus.audit.producer import Producer
from bus.audit.read import Reader, Record, events_of
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from bus.audit.writing.head import read_head
from bus.errors import AuditFenced, AuditUnavailable
from schemas import names
from schemas.audit import GENESIS, AuditEvent, decode_event, digest
from tests.contract.audit.audit_server import AuditServer, LossyLink, audit_server
from tests.harness.disk import files_up_to

GREETER = Producer("greeter", "0", is_agent=True)
APPROVALS = Producer("approvals", "0", is_agent=False)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AuditServer]:
    async with audit_server(tmp_path, (GREETER, APPROVALS)) as server:
        yield server


async def opened(
    server: AuditServer,
    producer: Producer = GREETER,
    where: str = "",
    options: Options | None = None,
    url: str = "",
) -> Audit:
    connection = await server.connect(producer.name, url)
    directory = server.root / "state" / (where or producer.name) / "audit"
    return await Audit.open(connection, producer, server.signing(producer.name), directory, options)


async def stored(server: AuditServer) -> list[Record]:
    return [record async for record in Reader(await server.connect("auditor")).records()]


async def stored_events(server: AuditServer) -> list[AuditEvent]:
    return [decode_event(event.payload) for record in await stored(server) for event in events_of(record)]


async def verdict(server: AuditServer) -> Report:
    heads = find_heads(server.root / "state")
    return await verify_stream(Reader(await server.connect("auditor")), server.trust, heads)


async def until(probe: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(20):
        while not probe():
            await asyncio.sleep(0.01)
    assert probe(), what


async def test_what_is_emitted_is_stored_chained_and_signed(server: AuditServer) -> None:
    """Each event names the digest of the one before it; each batch ends in a signature; the trail verifies."""
    audit = await opened(server)
    with trace.entered(trace.new_trace()) as conversation:
        first = audit.emit("request.received", actor="ops", action="SendMessage", payload=b"hello")
    audit.emit("request.refused", actor="ops", action="SendMessage", outcome="denied", reason="too many requests")
    await audit.confirm()
    audit.emit("process.draining", action="drain")
    await audit.close()

    records = await stored(server)
    events = [decode_event(record.payload) for record in records]
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [event.prev for event in events] == [GENESIS, *(digest(record.payload) for record in records[:-1])]
    assert [record.subject for record in records] == [
        GREETER.subject("request"), GREETER.subject("request"), GREETER.subject("process")
    ]  # fmt: skip
    assert [names.SIGNATURE in record.headers for record in records] == [False, True, True]
    assert events[0].id == first
    assert events[0].correlationid == conversation.correlation
    assert (events[0].data.size, events[0].data.actor, events[2].data.actor) == (5, "ops", "greeter")
    assert b"hello" not in records[0].payload
    report = await verdict(server)
    assert (report.verdict, report.exit_code, report.events) == ("sound", 0, 3)


async def test_a_component_writes_to_its_own_subjects(server: AuditServer) -> None:
    """A component that is not an agent has a slot, a chain and a place in the trust file of its own."""
    audit, other = await opened(server), await opened(server, APPROVALS)
    for _ in range(3):
        audit.emit("request.received", action="x")
        other.emit("proposal.decided", action="approve")
        await other.confirm()
    await audit.close()
    await other.close()
    report = await verdict(server)
    assert (report.verdict, report.slots, report.events) == ("sound", 2, 6)


async def test_a_restart_continues_the_chain(server: AuditServer) -> None:
    """The next process of a slot chains its first event to the last one of the process before it."""
    for _ in range(3):
        audit = await opened(server)
        audit.emit("process.started", action="start")
        await audit.close()
    events = await stored_events(server)
    assert [event.sequence for event in events] == [1, 2, 3]
    assert len({event.epoch for event in events}) == 3
    assert (await verdict(server)).verdict == "sound"


async def test_a_lost_state_folder_does_not_break_the_chain(server: AuditServer) -> None:
    """A process that starts on another host reads from the stream where to go on."""
    for where in ("one", "two"):
        audit = await opened(server, where=where)
        audit.emit("process.started", action="start")
        await audit.close()
    assert [event.sequence for event in await stored_events(server)] == [1, 2]
    assert (await verdict(server)).verdict == "sound"


async def test_an_unknown_kind_is_an_error(server: AuditServer) -> None:
    """Only what the catalogue names can be on the trail."""
    audit = await opened(server)
    with pytest.raises(KeyError):
        audit.emit("request.exploded", action="x")
    await audit.close()
    assert await stored(server) == []


async def test_odd_facts_are_stored_readably(server: AuditServer) -> None:
    """Whatever somebody sent, the event can be stored, fits the stream's limit and can be read back."""
    audit = await opened(server)
    audit.emit(
        "tool.finished",
        actor="\x01" * 100_000,
        action="a" * 100_000,
        reason="\x00" * 100_000,
        resource="\ud800 half a pair" + "\x02" * 100_000,
    )
    audit.emit("audit.backlog", action="send", metadata={"events": 12, "waited_s": float("inf")})
    audit.emit("audit.backlog", action="send", metadata={"events": -(2**80), "waited_s": 0.5})
    await audit.confirm()
    await audit.close()
    big, *small = await stored_events(server)
    assert len(big.data.action) == len(big.data.resource) == 1000
    backlogs = [event.data.metadata for event in small if event.short_type == "audit.backlog"]
    assert backlogs == [{"events": 12, "withheld": 1}, {"waited_s": 0.5, "withheld": 1}]
    assert (await verdict(server)).verdict == "sound"


async def test_urgent_events_do_not_wait(server: AuditServer) -> None:
    """With a linger of an hour, an urgent event takes everything before it to the stream at once."""
    audit = await opened(server, options=Options(linger_s=3600))
    audit.emit("request.received", action="x")
    audit.emit("tool.intended", action="send_mail")
    await until(lambda: audit.fill == 0, "both are on the stream")
    await audit.close()
    assert len(await stored(server)) == 2


async def test_an_outage_is_outlived(server: AuditServer) -> None:
    """Events emitted while the server is away arrive in order when it is back, with a backlog event after them."""
    clock = [1_763_000_000_000_000_000]
    audit = await opened(server, options=Options(now=lambda: clock[0]))
    audit.emit("process.started", action="start")
    await audit.confirm()
    server.stop()
    for number in range(1500):
        audit.emit("request.received", action="SendMessage", size=number)
    with pytest.raises(AuditUnavailable):
        await audit.confirm(timeout_s=0.3)
    clock[0] += 60_000_000_000
    server.start()
    await audit.confirm(timeout_s=20)
    await until(lambda: audit.fill == 0, "the backlog event is stored too")
    await audit.close()
    events = await stored_events(server)
    assert [event.data.size for event in events[1:-1]] == list(range(1500))
    assert (events[-1].short_type, events[-1].data.metadata) == ("audit.backlog", {"events": 1500, "waited_s": 60.0})
    assert (await verdict(server)).verdict == "sound"


async def test_what_could_not_be_sent_is_sent_by_the_next_process(server: AuditServer) -> None:
    """`close` without a server loses nothing: the next process on the folder sends it, then its own."""
    audit = await opened(server)
    server.stop()
    for number in range(10):
        audit.emit("request.received", action="x", size=number)
    await audit.close(timeout_s=0.1)
    server.start()
    after = await opened(server)
    after.emit("process.resumed", action="start")
    await after.close()
    events = await stored_events(server)
    assert [event.data.size for event in events] == [*range(10), None]
    assert (await verdict(server)).verdict == "sound"


async def test_a_second_process_takes_the_slot_and_the_first_stops(server: AuditServer) -> None:
    """Two processes on one slot: the stream refuses the one that does not know of the other's events."""
    told: list[AuditUnavailable] = []
    first = await opened(server, where="one", options=Options(on_stopped=told.append))
    first.emit("process.started", action="start")
    await first.confirm()
    second = await opened(server, where="two")
    second.emit("process.started", action="start")
    await second.confirm()
    first.emit("tool.intended", action="send_mail")
    with pytest.raises(AuditFenced):
        await first.confirm()
    with pytest.raises(AuditFenced):
        first.emit("request.received", action="x")
    assert len(told) == 1
    second.emit("process.stopped", action="stop")
    await second.close()
    await first.close()
    assert len(await stored(server)) == 3
    assert (await verdict(server)).verdict == "sound"


async def test_one_process_per_spool(server: AuditServer) -> None:
    """A folder that a process uses is refused to another one."""
    audit = await opened(server)
    with pytest.raises(AuditFenced):
        await opened(server)
    await audit.close()
    again = await opened(server)
    await again.close()


async def test_a_full_spool_fails_closed(server: AuditServer) -> None:
    """When no more can be kept, `emit` says so, and what was kept is still sent."""
    audit = await opened(server, options=Options(spool_bytes=20_000))
    server.stop()
    taken = 0
    with pytest.raises(AuditUnavailable, match="is full"):  # noqa: PT012  which of them is refused is not fixed
        for _ in range(1000):
            audit.emit("request.received", action="x")
            taken += 1
    assert 0.9 < audit.fill <= 1
    server.start()
    await audit.confirm(timeout_s=20)
    audit.emit("request.received", action="x")
    await audit.close()
    assert len(await stored_events(server)) == taken + 1
    assert (await verdict(server)).verdict == "sound"


async def test_a_full_disk_fails_closed(server: AuditServer) -> None:
    """A disk that refuses a write is an error of `emit`, never a lost or torn event."""
    audit = await opened(server)
    audit.emit("request.received", action="x")
    await audit.confirm()
    server.stop()
    audit.emit("request.received", action="before")
    size = (server.root / "state" / "greeter" / "audit" / "spool").stat().st_size
    with files_up_to(size + 100), pytest.raises(AuditUnavailable, match="cannot be written"):
        audit.emit("request.received", action="during")
    audit.emit("request.received", action="after")
    server.start()
    await audit.confirm(timeout_s=20)
    await audit.close()
    assert [event.data.action for event in await stored_events(server)] == ["x", "before", "after"]
    assert (await verdict(server)).verdict == "sound"


@pytest.mark.parametrize("swallowed", [b'"count":', b"MSG"])
async def test_an_answer_that_got_lost_is_looked_up(server: AuditServer, swallowed: bytes) -> None:
    """A batch that was stored although the answer got lost is found by reading back, and not sent again."""
    async with LossyLink(server.port) as link:
        audit = await opened(server, url=link.url)
        for number in range(40):
            audit.emit("request.received", action="x", size=number)
            if number % 10 == 9:
                link.lose(swallowed)
                await audit.confirm(timeout_s=20)
        await audit.close()
        assert link.lost == 4
    events = await stored_events(server)
    assert [event.data.size for event in events] == list(range(40))
    assert (await verdict(server)).verdict == "sound"


@pytest.mark.parametrize("burst", [1, 40, 700])
async def test_kill_9_loses_nothing_and_repeats_nothing(server: AuditServer, burst: int) -> None:
    """After kill -9 the next process sends what the spool has: every emitted event is there once, in order."""
    keys, directory = server.root / "keys", server.root / "state" / "greeter" / "audit"
    server.credential("greeter"), server.signing("greeter")
    emitted: list[int] = []
    for round_ in range(3):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.audit.audit_writer", server.url, str(keys), str(directory), str(burst),
            stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert process.stdout is not None
        lines = [await process.stdout.readline() for _ in range(5 + round_)]
        process.kill()
        lines += (await process.stdout.read()).splitlines()
        await process.wait()
        emitted.append(max(int(line.split()[1]) for line in lines))
    audit = await opened(server)
    await audit.confirm()
    await audit.close()
    events = await stored_events(server)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    runs: dict[str, list[object]] = {}
    for event in events:
        if event.data.size is not None:  # where the server is slow the trail also tells of that
            runs.setdefault(event.epoch, []).append(event.data.size)
    assert [run for run in runs.values() if run != list(range(len(run)))] == []
    assert [len(run) >= least for run, least in zip(runs.values(), emitted, strict=True)] == [True] * 3
    assert (await verdict(server)).verdict == "sound"


async def test_the_spool_is_private_and_empties(server: AuditServer) -> None:
    """Only the owner can read the spool; what is on the stream is not in it any more."""
    audit = await opened(server)
    audit.emit("request.received", action="x")
    directory = server.root / "state" / "greeter" / "audit"
    assert stat.S_IMODE((directory / "spool").stat().st_mode) == 0o600
    assert (directory / "spool").stat().st_size > 0
    await audit.confirm()
    assert (directory / "spool").stat().st_size == 0
    head = read_head(directory)
    assert head is not None
    assert (head.counter, head.stream_sequence, head.slot) == (1, 1, "audit.agent.greeter.0.")
    await audit.close()


async def test_a_producer_that_is_not_provisioned_is_told(server: AuditServer) -> None:
    """Opening a slot that the account does not import fails with advice instead of for ever."""
    connection = await server.connect("greeter")
    stranger = Producer("stranger", "0", is_agent=True)
    options = Options(open_timeout_s=0.1)
    with pytest.raises(AuditUnavailable, match="provisioned"):
        await Audit.open(connection, stranger, server.signing("greeter"), server.root / "state" / "x", options)
