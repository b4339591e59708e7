"""Every cell of the sealer's and the witness's tables: a fault in a process of its own, the next one, the whole trail."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bus.audit.emit import Audit
from bus.audit.read import Reader
from bus.audit.seal.check import SealCheck
from bus.audit.seal.sealed_log import STATE
from bus.audit.seal.sealer import CHECKPOINT, LOG
from bus.audit.seal.witness import CONFLICT
from bus.audit.tlog.checkpoint import Checkpoint, open_checkpoint
from bus.audit.tlog.leaf import Leaf
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from bus.connection import Connection
from schemas import subjects
from tests.faults.sealing import POLICY, SEALER, WITNESS, SealOrder, open_log, open_sealer, open_witness
from tests.faults.stage import GREETER, Stage, numbers_on, staged
from tests.faults.table import ENDS, FATE_COLUMNS, LOST, ON, SEALER_TABLE, WITNESS_TABLE, Fate
from tests.harness.fleet import until


@dataclass
class Trail:
    """A trail that grows and is sealed. `signed` is every checkpoint that was found anywhere, also what is gone since."""

    stage: Stage
    folder: Path
    audit: Audit
    connection: Connection
    events: int
    signed: list[Checkpoint]

    async def write(self, events: int) -> None:
        """Events on the stream, each a message."""
        for _ in range(events):
            self.audit.emit("request.received", action="x", size=self.events)
            self.events += 1
            await self.audit.confirm()

    async def last(self) -> int:
        """The stream's last sequence."""
        return (await Reader(self.connection).bounds()).last

    async def until_sealed(self, size: int, witnesses: int = 0) -> None:
        """The stream holds a checkpoint of so many messages, with so many cosignatures."""

        async def look() -> bool:
            records = [record async for record in Reader(self.connection).records(subject=subjects.SEAL)]
            notes = [open_checkpoint(record.payload, POLICY.logs[0]) for record in records]
            return any(one.size >= size and len(POLICY.witnessed(note)) >= witnesses for one, note in notes)

        await until(look)

    def remember(self) -> None:
        """Note what the sealer and the witness have signed by now."""
        state = self.folder / SEALER / LOG / STATE
        kept = [self.folder / SEALER / CHECKPOINT, self.folder / WITNESS / CHECKPOINT]
        notes = [msgspec.json.decode(state.read_bytes())["note"].encode(), *(path.read_bytes() for path in kept)]
        self.signed += [open_checkpoint(note, POLICY.logs[0])[0] for note in notes]


@asynccontextmanager
async def sealed(trail: Trail) -> AsyncIterator[None]:
    """A sealer in the test's own loop."""
    log = open_log(trail.folder)
    running = asyncio.ensure_future(open_sealer(trail.connection, log, trail.folder).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        log.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("faults"), "tests.faults.sealing") as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def trail(stage: Stage) -> AsyncIterator[Trail]:
    """Three events, which nobody has sealed."""
    await stage.clear()
    connection, own = await stage.server.connect("greeter"), await stage.server.connect("admin")
    audit = await Audit.open(connection, GREETER, stage.server.signing("greeter"), stage.directory)
    trail = Trail(stage, stage.directory.parent, audit, own, 0, [])
    await trail.write(3)
    yield trail
    await audit.close()
    await connection.close()
    await own.close()


def cells(table: dict[str, tuple[Fate | str, ...]]) -> Iterator[tuple[str, str, Fate]]:
    """Every cell with something to test."""
    for step, row in table.items():
        for column, outcome in zip(FATE_COLUMNS, row, strict=True):
            if isinstance(outcome, Fate):
                yield step, column, outcome


async def _begin(trail: Trail, who: str, step: str, column: str) -> None:
    server = trail.stage.server
    credential = str(server.credential("admin").path)
    await trail.stage.start(SealOrder(server.url, credential, str(trail.folder), who, step, column))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("step", "column", "fate"), list(cells(SEALER_TABLE)))
async def test_a_sealer_with_a_fault(trail: Trail, step: str, column: str, fate: Fate) -> None:
    """What it signed stays true: it, or the next one on its folder, seals the trail to its end, with one root a size."""
    witness = await trail.stage.server.connect("admin")
    await open_witness(witness, trail.folder)
    async with sealed(trail):
        await trail.until_sealed(3, witnesses=1)
    trail.remember()
    await trail.write(2)
    await _begin(trail, SEALER, step, column)
    trail.stage.go()
    await trail.stage.hear("struck")
    if fate is ON:
        await trail.write(1)
        await trail.until_sealed(await trail.last())
        trail.stage.go()
    told = await trail.stage.ends()
    assert told.ended == {ON: 0, ENDS: os.EX_IOERR, LOST: -signal.SIGKILL}[fate]
    assert ("planted" in told.stopped) == (fate is ENDS)
    trail.remember()
    await _assert_sealed_to_its_end(trail)
    await witness.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("step", "column", "fate"), list(cells(WITNESS_TABLE)))
async def test_a_witness_with_a_fault(trail: Trail, step: str, column: str, fate: Fate) -> None:
    """The trail is sealed without its answer; it, or the next one on its folder, cosigns what comes then."""
    await _begin(trail, WITNESS, step, column)
    async with sealed(trail):
        await trail.stage.hear("struck")
        if fate is LOST:
            told = await trail.stage.ends()
        else:
            await trail.write(1)
            await trail.until_sealed(4, witnesses=1)
            trail.stage.go()
            told = await trail.stage.ends()
    assert told.ended == {ON: 0, LOST: -signal.SIGKILL}[fate]
    witness = await trail.stage.server.connect("admin")
    await open_witness(witness, trail.folder)
    await _assert_sealed_to_its_end(trail)
    await witness.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_second_root_for_a_size_is_seen(trail: Trail, tmp_path: Path) -> None:
    """What every cell ends with can fail: in a copy of the folder the same key signs another history of that size."""
    witness = await trail.stage.server.connect("admin")
    await open_witness(witness, trail.folder)
    async with sealed(trail):
        await trail.until_sealed(3, witnesses=1)
    trail.remember()
    forked = replace(trail, folder=tmp_path / "copy")  # with the same list of what was found
    shutil.copytree(trail.folder, forked.folder)
    shutil.rmtree(forked.folder / SEALER / LOG)
    log = open_log(forked.folder)
    async for record in Reader(trail.connection).records(until=3):
        log.add(Leaf.of_answer(record.block, record.payload)._replace(payload=b"{}"))
    (forked.folder / SEALER / CHECKPOINT).write_bytes(bytes(log.seal()))
    log.close()
    assert _sizes_with_two_roots(trail.signed) == []
    forked.remember()
    assert _sizes_with_two_roots(trail.signed) == [3]
    with pytest.raises(AssertionError, match="two roots for one size"):
        await _assert_sealed_to_its_end(trail)
    await witness.close()


async def _assert_sealed_to_its_end(trail: Trail) -> None:
    """The next sealer seals and the witness cosigns; everything is there once, and all that was signed is true of it."""
    await trail.write(1)
    size = await trail.last()
    async with sealed(trail):
        await trail.until_sealed(size, witnesses=1)
    trail.remember()
    assert _sizes_with_two_roots(trail.signed) == [], "two roots for one size"
    assert not (trail.folder / WITNESS / CONFLICT).exists()
    assert await numbers_on(trail.connection) == list(range(trail.events))
    seals = SealCheck(POLICY, trail.signed)
    heads = find_heads(trail.stage.directory)
    report = await verify_stream(Reader(trail.connection), trail.stage.server.trust, heads, seals=seals)
    assert (report.verdict, report.exit_code, report.findings) == ("sound", 0, ())
    assert seals.sealed >= size


def _sizes_with_two_roots(signed: list[Checkpoint]) -> list[int]:
    roots = defaultdict(set)
    for checkpoint in signed:
        roots[checkpoint.size].add(checkpoint.root)
    return [size for size, found in roots.items() if len(found) > 1]


def test_the_tables_of_sealing_are_complete() -> None:
    """Every row has every column, and an empty cell says why."""
    rows = [*SEALER_TABLE.values(), *WITNESS_TABLE.values()]
    assert all(len(row) == len(FATE_COLUMNS) for row in rows)
    assert all(cell for row in rows for cell in row)
