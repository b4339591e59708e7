"""The disk of the server's store has no byte left, for seconds, and then there is room again.

nats-server 2.15 alone stores nothing more in a stream that it could not write once, gives no answer, and goes on so when
there is room again, until it is restarted. It must not be restarted before: of a stream that it can then not open,
as one without messages, it removes the files. So the product does not start it on a full disk.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path

from bus.errors import NoServer
from bus.provision.members import servers_of
from bus.server import LocalServer
from schemas.errors import UnknownOutcome
from tests.chaos.fault import ENOUGH_S, Fault, Scenario
from tests.chaos.load import Stuck
from tests.chaos.small_disk import Disk, NoGrowth
from tests.chaos.stage import Stage
from tests.harness.fleet import until

_TOLD = 4
"""So many callers are told that they cannot know: each of them at least waited for an answer, for seconds."""
_GIVEN_UP = "JetStream out of resources, will be DISABLED"
"""What a server of a cluster logs; the others take over what it led."""


async def full_disks(fault: Fault) -> None:
    """Requests go on being answered, tasks are not acknowledged; with room and a restart everything goes on.

    Every second time somebody tries to start the server while the disk is still full.
    """
    stage, server, disk = fault.stage, fault.stage.bench.server, _disk(fault.stage)
    for done in range(fault.amount):
        await fault.load.progress()
        before = _streams(stage.stores[0])
        await _until_told(fault, disk)
        is_killed = fault.chance.random() < 0.5
        if done % 2:
            await stage.stop_server(is_killed=is_killed)
            await _require_refused(server, disk)
            disk.free()
            await server.start()
        else:
            disk.free()
            await stage.restart_server(is_killed=is_killed)
        if gone := before - _streams(stage.stores[0]):
            raise Stuck(f"the server removed {sorted(gone)}")
        await fault.load.progress()


async def _until_told(fault: Fault, disk: Disk) -> None:
    """Keep the disk full until callers were told, and others were answered meanwhile.

    Raises:
        Stuck: they were not.
    """
    load = fault.load
    told, answers = load.refusals[UnknownOutcome.__name__] + _TOLD, load.answers
    with suppress(TimeoutError):
        async with asyncio.timeout(ENOUGH_S):
            while load.refusals[UnknownOutcome.__name__] < told or load.answers == answers:
                disk.fill()
                await asyncio.sleep(0.02)
            return
    raise Stuck(f"nobody noticed within {ENOUGH_S:g} s that the disk is full; refused so far: {dict(load.refusals)}")


async def _require_refused(server: LocalServer, disk: Disk) -> None:
    """The product sees that there is no room, and says so.

    Raises:
        Stuck: it started the server.
    """
    disk.fill()
    if not disk.is_full:
        return
    try:
        await server.start()
    except NoServer:
        return
    raise Stuck("the server was started on a disk that is full")


async def full_disk_of_one(fault: Fault) -> None:
    """Of three servers one has no room: the others go on without it, and it catches up once it has room and is restarted."""
    bench, disk = fault.stage.bench, _disk(fault.stage)
    for _ in range(fault.amount):
        await fault.load.progress()
        before = _streams(fault.stage.stores[0])
        given_up = _times_given_up(fault.stage)
        filling = asyncio.create_task(_kept_full(disk))
        try:
            await until(partial(_has_given_up, fault.stage, given_up), timeout_s=ENOUGH_S, every_s=0.1)
            await fault.load.progress(100)
        finally:
            filling.cancel()
        disk.free()
        await bench.restart(bench.servers[0])
        await bench.caught_up(60)
        if gone := before - _streams(fault.stage.stores[0]):
            raise Stuck(f"the server removed {sorted(gone)}")
        await fault.load.progress()


async def _has_given_up(stage: Stage, before: int) -> bool:
    """Whether the first server says once more that it stores nothing; it cannot say so where no file of it may grow."""
    return isinstance(stage.disk, NoGrowth) or _times_given_up(stage) > before


def _times_given_up(stage: Stage) -> int:
    return servers_of(stage.bench.fleet, stage.bench.home)[0].log.read_text(errors="replace").count(_GIVEN_UP)


async def _kept_full(disk: Disk) -> None:
    while True:
        disk.fill()
        await asyncio.sleep(0.02)


def _disk(stage: Stage) -> Disk:
    assert stage.disk is not None
    print(f"  {stage.disk.how}", flush=True)
    return stage.disk


def _streams(store: Path) -> set[str]:
    """Account and name of each stream that has files."""
    return {f"{path.parts[-3]}/{path.name}" for path in store.glob("jetstream/*/streams/*")}


ON_A_SMALL_DISK = (Scenario("full disk", full_disks, 1, 2),)
ONE_OF_THREE = (Scenario("full disk of one", full_disk_of_one, 0, 1),)
