"""A message of a process that is dead: it lies in the network, and arrives when others have gone on."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from bus.audit.read import Reader
from tests.faults.producing import FORMS
from tests.faults.stage import Stage, staged
from tests.harness.fleet import until
from tests.harness.proxy import Proxy

Arrive = Callable[[], Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("late")) as stage:
        yield stage


async def _before(stage: Stage, arrive: Arrive) -> None:
    """It is stored before the next process looks."""
    reader = Reader(await stage.server.connect("auditor"))
    stored = (await reader.bounds()).last

    async def is_stored() -> bool:
        return (await reader.bounds()).last > stored

    await arrive()
    await until(is_stored)
    await stage.next_process()


async def _after(stage: Stage, arrive: Arrive) -> None:
    """The next process has sent the same events; the stream refuses them the second time."""
    await stage.next_process()
    await arrive()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", [_before, _after], ids=["before the next process", "after it"])
async def test_a_dead_process_writes_nothing_twice(
    stage: Stage, order: Callable[[Stage, Arrive], Awaitable[None]], form: str
) -> None:
    """The committing message of a process that was killed arrives late: each of its events is on the trail once."""
    size = sum(FORMS[form])
    await stage.clear()
    async with Proxy("127.0.0.1", stage.server.port) as network:
        pid = await stage.begin("server", "held", form, network.url)
        stage.go()
        await stage.hear("at")
        network.stall()
        stage.go()
        await stage.hear("unconfirmed")
        os.kill(pid, signal.SIGKILL)
        told = await stage.ends()

        async def arrive() -> None:
            network.heal()

            async def is_delivered() -> bool:
                return not network._pumps

            await until(is_delivered)

        await order(stage, arrive)
    numbers, report = await stage.trail()
    assert numbers == told.taken == list(range(2 * size))
    assert (report.verdict, report.findings) == ("sound", ())
