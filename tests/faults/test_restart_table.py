"""Every cell of the table of starts: a producer goes on from what a killed one left, and meets a fault at that."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.faults.producing import FORMS
from tests.faults.stage import Stage, staged
from tests.faults.table import ENDS, FATE_COLUMNS, LEFT, LOST, ON, RESTART_TABLE, Fate

FORM = "few"
_SIZE = sum(FORMS[FORM])
_KILLED = {"unsent": "kill before", "stored": "kill after"}
"""When the process before it is killed at the message that commits its last batch."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("faults")) as stage:
        yield stage


def cells() -> Iterator[tuple[str, str, str, Fate]]:
    """Every cell with something to test, for each thing that may be left."""
    for left, steps in LEFT.items():
        for step in steps:
            for column, fate in zip(FATE_COLUMNS, RESTART_TABLE[step], strict=True):
                if isinstance(fate, Fate):
                    yield left, step, column, fate


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("left", "step", "column", "fate"), list(cells()))
async def test_a_start_with_a_fault(stage: Stage, left: str, step: str, column: str, fate: Fate) -> None:
    """What was left and what was taken is on the trail once, in order, by this process or the next one."""
    await stage.clear()
    await stage.begin("committing message", _KILLED[left], FORM)
    stage.go()
    before = await stage.ends()
    assert (before.ended, before.taken) == (-signal.SIGKILL, list(range(2 * _SIZE)))
    stage.first = 2 * _SIZE
    await stage.restart(step, column, FORM)
    stage.go()
    told = await stage.ends()
    await stage.next_process()
    numbers, report = await stage.trail()
    assert numbers == before.taken + told.taken
    assert (report.verdict, report.exit_code, report.findings) == ("sound", 0, ())
    assert (stage.directory / "spool").stat().st_size == 0
    assert told.ended == (-signal.SIGKILL if fate is LOST else 0)
    assert told.spent or fate is LOST, "the fault happened"
    assert ("planted" in told.stopped) == (fate is ENDS)
    assert told.confirmed == (3 * _SIZE if fate is ON else 0)


def test_the_table_of_starts_is_complete() -> None:
    """Every row has every column, and each is played for something that is left."""
    assert all(len(row) == len(FATE_COLUMNS) and all(row) for row in RESTART_TABLE.values())
    assert {step for steps in LEFT.values() for step in steps} == set(RESTART_TABLE)
