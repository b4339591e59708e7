"""The faults of three servers that keep three copies."""

from __future__ import annotations

import asyncio
from urllib.parse import urlparse

from bus.requests.caller import Caller
from schemas import names
from tests.chaos.fault import Fault, Scenario
from tests.chaos.load import Stuck
from tests.harness.cluster import ClusterBench

_OF_THE_LOAD = {names.TASKS, names.EVENTS, names.AUDIT, f"KV_{names.TASK_BUCKET}", names.TASK_LOG, names.TASK_LATER}
"""Of provisioning's table those that the load writes: their leaders are lost. Whole must be all of the table."""
_WHOLE_S = 120.0
_ALONE_S = 12.0
"""Longer than a leader that hears of nobody goes on being one (10 s)."""


async def leader_losses(fault: Fault) -> None:
    """The server that leads a stream is killed, each of the load's in turn; the others go on, and it catches up."""
    bench = fault.stage.bench
    streams = [stream for stream in bench.streams if stream.name in _OF_THE_LOAD]
    assert len(streams) == len(_OF_THE_LOAD)
    for done in range(fault.amount):
        await fault.load.progress()
        leader = await bench.leader(streams[done % len(streams)])
        leader.process.kill()
        await leader.process.wait()
        await fault.load.progress()  # without it
        await leader.start()
        await bench.caught_up(_WHOLE_S)
        fault.say(done + 1)
    await fault.load.progress()


async def route_partitions(fault: Fault) -> None:
    """A server hears nothing of the two others, its clients stay connected to it; the two go on, and it catches up.

    What goes between them waits on its way, every second time, or the routes are closed. Each server in turn, from one
    that leads the tasks and has callers, where there is such a one.
    """
    bench, routes = fault.stage.bench, fault.stage.bench.routes
    assert routes is not None
    for done in range(fault.amount):
        await fault.load.progress()
        alone = (bench.servers.index(await bench.leader(bench.streams[0])) + done) % len(bench.servers)
        alone = await _with_callers(bench, fault.load.callers, alone)
        inside = _clients(bench, fault.load.callers, alone)
        routes.cut_off(alone, is_stalled=done % 2 == 0)
        await asyncio.gather(fault.load.progress(100), asyncio.sleep(_ALONE_S))
        if left := inside - _clients(bench, fault.load.callers, alone):
            raise Stuck(f"{len(left)} clients left server {alone + 1}, though nothing was between them")
        routes.heal()
        await bench.caught_up(_WHOLE_S)
        print(f"  server {alone + 1} alone with {len(inside)} of {len(fault.load.callers)} callers", flush=True)
    await fault.load.progress()


async def _with_callers(bench: ClusterBench, callers: list[Caller], first: int) -> int:
    """The first server from `first` on that some of the callers are connected to, and not all."""
    numbers = [(first + step) % len(bench.servers) for step in range(len(bench.servers))]
    return next((number for number in numbers if 0 < len(_clients(bench, callers, number)) < len(callers)), first)


def _clients(bench: ClusterBench, callers: list[Caller], number: int) -> set[int]:
    """Which callers are connected to a server now."""
    here = urlparse(bench.servers[number].url).netloc
    urls = [calls._connection._client.connected_url for calls in callers]
    return {which for which, url in enumerate(urls) if url is not None and url.netloc == here}


ON_A_CLUSTER = (
    Scenario("leader loss", leader_losses, 1, 8),
    Scenario("route partition", route_partitions, 0, 3),
)
