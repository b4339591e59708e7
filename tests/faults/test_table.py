"""Every cell of the table: a real server, a producing process with one fault, a next process, and the whole trail."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from bus.audit.writing.head import read_head
from tests.contract.audit.audit_server import LossyLink
from tests.faults.producing import FORMS
from tests.faults.stage import Stage, Told, staged
from tests.faults.table import COLUMNS, DEAD, KEPT, NEVER, NOT_IN, REFUSED, STOPPED, TABLE, TORN, WRITTEN, Outcome

FILE_CELLS = [
    (step, column)
    for step in ("spool write", "head", "cut")
    for column in ("fails", "in part", "persisted")
    if (step, column) != ("cut", "in part")
]
_FROZEN_S = 0.2


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("faults")) as stage:
        yield stage


def cells() -> Iterator[tuple[str, str, str]]:
    """Every cell with something to test, in each form."""
    for step, row in TABLE.items():
        for column, outcome in zip(COLUMNS, row, strict=True):
            if isinstance(outcome, Outcome):
                yield from ((step, column, form) for form in FORMS if step not in NOT_IN.get(form, {}))


async def _server_fault(stage: Stage, column: str, pid: int) -> None:
    """What happens to the server when the first messages of a batch are there and the last one is due."""
    server, is_killed = stage.server, column == "persisted"
    stage.go()
    await stage.hear("at")
    if column in {"late", "too late"}:
        assert server.process
        server.process.send_signal(signal.SIGSTOP)
        try:
            stage.go()
            await (asyncio.sleep(_FROZEN_S) if column == "late" else stage.hear("unconfirmed"))
        finally:
            server.process.send_signal(signal.SIGCONT)
        return
    server.stop(signal.SIGKILL if is_killed else signal.SIGTERM)
    if column == "kill before":
        os.kill(pid, signal.SIGKILL)
    server.start()
    if column == "kill after":
        os.kill(pid, signal.SIGKILL)
    elif column != "kill before":
        stage.go()


async def _full_stream(stage: Stage) -> None:
    """The server answers that it has no room, until somebody makes some."""
    await stage.limit(max_msgs=1)
    stage.go()
    await stage.hear("unconfirmed")
    await stage.limit(max_msgs=-1)


async def played(stage: Stage, step: str, column: str, form: str) -> Told:
    """The producing process's own account of a cell."""
    async with AsyncExitStack() as stack:
        if step == "server":
            what = {"persisted": "held when stored", "late": "held late"}.get(column, "held")
            await _server_fault(stage, column, await stage.begin(step, what, form))
        elif (step, column) == ("ack", "fails"):
            await stage.begin("nothing", column, form)
            await _full_stream(stage)
        elif (step, column) == ("ack", "persisted"):
            link = await stack.enter_async_context(LossyLink(stage.server.port))
            await stage.begin("nothing", column, form, link.url)
            link.lose(b'"seq":')
            stage.go()
            told = await stage.ends()
            assert link.lost == 1
            return told
        else:
            await stage.begin(step, column, form)
            stage.go()
        return await stage.ends()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("step", "column", "form"), list(cells()))
async def test_nothing_is_lost_and_nothing_is_there_twice(stage: Stage, step: str, column: str, form: str) -> None:
    """What was taken is on the trail once, in order, sound; what was refused is not; the fault's outcome is the table's."""
    outcome = TABLE[step][COLUMNS.index(column)]
    await stage.clear()
    told = await played(stage, step, column, form)
    await stage.next_process()
    numbers, report = await stage.trail()
    assert numbers == sorted(set(numbers)), "in order, and each once"
    assert set(told.taken) <= set(numbers), "nothing that was taken is lost"
    assert not set(told.refused) & set(numbers), "nothing that was refused is there"
    assert (report.verdict, report.exit_code, report.findings) == ("sound", 0, ())
    _assert_tidy(stage)
    assert told.spent or told.ended or _is_done_by_the_test(step, column), "the fault happened"
    size = sum(FORMS[form])
    _CHECKS[outcome](told, numbers, size)  # type: ignore[index]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("step", "column"), FILE_CELLS)
async def test_what_follows_a_fault_in_the_files_can_be_read(stage: Stage, step: str, column: str, form: str) -> None:
    """A process that outlives a fault in its files, emits more and is killed leaves files that the next one can use."""
    await stage.clear()
    await stage.begin(step, column, form, is_killed_later=True)
    stage.go()
    told = await stage.ends()
    assert read_head(stage.directory), "what this host knows of the stream is still there"
    await stage.next_process()
    numbers, report = await stage.trail()
    assert (told.ended, told.spent) == (-signal.SIGKILL, True)
    assert numbers == told.taken
    assert sorted(told.taken + told.refused) == list(range(3 * sum(FORMS[form])))
    assert (report.verdict, report.findings) == ("sound", ())
    _assert_tidy(stage)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("seed", range(3))
async def test_faults_one_after_the_other(stage: Stage, seed: int) -> None:
    """Processes that each meet a fault of their own, on one folder: what all of them took is there once, in order."""
    chance = random.Random(seed)
    taken: list[int] = []
    refused: list[int] = []
    await stage.clear()
    for step, column, form in chance.sample(list(cells()), 10):
        told = await played(stage, step, column, form)
        taken += told.taken
        refused += told.refused
        stage.first += 3 * sum(FORMS[form])
    await stage.next_process()
    numbers, report = await stage.trail()
    assert numbers == sorted(set(numbers))
    assert set(taken) <= set(numbers)
    assert not set(refused) & set(numbers)
    assert (report.verdict, report.findings) == ("sound", ())
    _assert_tidy(stage)


def _assert_tidy(stage: Stage) -> None:
    """The spool is empty, and nothing lies beside it but the end of a write that a kill cut short."""
    others = {path.name for path in stage.directory.iterdir()} - {"head.json", "spool", "spool.lock"}
    assert all(name.startswith("spool.damaged-") for name in others)
    assert (stage.directory / "spool").stat().st_size == 0


def _is_done_by_the_test(step: str, column: str) -> bool:
    return step == "ack" and column in {"fails", "persisted"}


def _kept(told: Told, numbers: list[int], size: int) -> None:
    assert (told.ended, told.refused, told.confirmed) == (0, [], 3 * size)
    assert numbers == list(range(3 * size))


def _refused(told: Told, numbers: list[int], size: int) -> None:
    assert (told.ended, told.confirmed) == (0, 3 * size)
    assert told.refused
    assert told.refused[0] == size, "the first that the fault could hit"
    assert sorted(told.taken + told.refused) == list(range(3 * size))


def _stopped(told: Told, numbers: list[int], size: int) -> None:
    assert (told.ended, told.confirmed) == (0, size)
    assert "cannot be made durable" in told.stopped
    assert told.refused == list(range(2 * size, 3 * size))
    assert numbers == list(range(2 * size))


def _dead(told: Told, numbers: list[int], size: int) -> None:
    assert (told.ended, told.confirmed) == (-signal.SIGKILL, size)
    assert numbers == told.taken == list(range(2 * size))


def _never(told: Told, numbers: list[int], size: int) -> None:
    assert (told.ended, told.confirmed) == (-signal.SIGKILL, size)
    assert numbers == told.taken == list(range(size))


def _written(told: Told, numbers: list[int], size: int) -> None:
    assert (told.ended, told.confirmed) == (-signal.SIGKILL, size)
    assert told.taken == list(range(size))
    assert numbers[:size] == told.taken
    assert numbers[size:]


def _torn(told: Told, numbers: list[int], size: int) -> None:
    assert (told.ended, told.confirmed) == (-signal.SIGKILL, size)
    assert told.taken == list(range(size))
    assert numbers == list(range(len(numbers)))
    assert len(numbers) < 2 * size


_CHECKS = {
    KEPT: _kept,
    REFUSED: _refused,
    STOPPED: _stopped,
    DEAD: _dead,
    NEVER: _never,
    TORN: _torn,
    WRITTEN: _written,
}


def test_the_table_is_complete() -> None:
    """Every row has every column, and an empty cell says why."""
    assert all(len(row) == len(COLUMNS) for row in TABLE.values())
    assert all(cell for row in TABLE.values() for cell in row)
    assert set(_CHECKS) == set(Outcome)
