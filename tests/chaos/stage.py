"""What the faults happen to: one server or three, two worker processes of one agent, proxies for the networks.

The server and the workers are started here and not by `agentbus up`: its supervisor stops a fleet whose
server dies five times in a minute, by design.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.home import ensure_home
from agents.supervisor.child import Child, Command
from agents.supervisor.fleet_processes import commands
from bus import surroundings
from bus.provision.members import servers_of
from bus.provision.provision import start_servers
from bus.surroundings import Home
from schemas.fleet import Fleet
from tests.chaos.small_disk import SIZE, Disk, NoGrowth, SmallDisk, may_mount
from tests.harness.cluster import ClusterBench, three_servers
from tests.harness.disk import small_disk
from tests.harness.fleet import Bench, fleet_source, free_port, until
from tests.harness.proxy import Proxy
from tests.harness.routes import routes_of

AGENT = "textstats"
_SUCCESSOR_S = 30.0
_AGENT_FILE = """\
agent:
  id: textstats
  description: Leaves one line for each run.
  version: 1.0.0
handler: handler.py:work
limits:
  requests_per_s: 0
"""


@dataclass
class Stage:
    """Everything that can be broken. `effects` is the file that the skill appends to.

    `stores` are the servers' folders; the first is on `disk`, where there is a small one.
    """

    bench: ClusterBench
    proxy: Proxy
    workers: list[Child]
    effects: Path
    stores: tuple[Path, ...]
    disk: Disk | None = None

    @property
    def server_log(self) -> str:
        """What the server has said so far."""
        return (self.bench.home.root / "log" / "nats-server.log").read_text(errors="replace")

    async def restart_server(self, *, is_killed: bool) -> None:
        """End the server, by SIGKILL or in order, and return when it accepts clients again."""
        await self.stop_server(is_killed=is_killed)
        await self.bench.server.start()

    async def stop_server(self, *, is_killed: bool) -> None:
        """End the server."""
        if is_killed:
            self.bench.server.process.kill()
            await self.bench.server.process.wait()
        else:
            await self.bench.server.stop()

    def url_of(self, caller: int) -> str:
        """Where a caller connects: of three servers each knows two, so that never all of them are at one."""
        servers = self.bench.servers
        return ",".join({servers[(caller + step) % len(servers)].url for step in range(2)})

    def heal(self) -> None:
        """Networks carry everything again, and the disk has room."""
        self.proxy.heal()
        if self.bench.routes is not None:
            self.bench.routes.heal()
        if self.disk is not None:
            self.disk.free()

    async def kill(self, worker: Child) -> None:
        """SIGKILL a worker and return when its successor is ready.

        Raises:
            TimeoutError: there is none in time.
        """
        before = worker.restarts
        worker._deaths.forget()  # many deaths in a minute are the point here, not a reason to give up
        os.kill(worker.pid, signal.SIGKILL)
        async with asyncio.timeout(_SUCCESSOR_S):
            while worker.restarts == before:
                await asyncio.sleep(0.02)
        await worker.wait_ready(_SUCCESSOR_S)


def _one_agent(document: dict[str, Any]) -> None:
    document["agents"] = {AGENT: {"may_propose": False, "storage_mb": 2048}}


def _three_servers(document: dict[str, Any]) -> None:
    _one_agent(document)
    three_servers(document)


def _command(bench: Bench, effects: Path, slot: str, url: str) -> Command:
    """A worker's process as `agentbus up` starts it, with a slot and a state folder of its own."""
    stages = commands(bench.fleet, bench.home, url)
    command = next(command for stage in stages for command in stage if command.name == f"agent-{AGENT}")
    state = bench.home.state(f"agent-{AGENT}-{slot}")
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    more = {surroundings.SLOT: slot, surroundings.STATE: str(state), "CHAOS_EFFECTS": str(effects)}
    log = bench.home.root / "log" / f"agent-{AGENT}-{slot}.log"
    return replace(command, name=f"worker {slot}", environment={**command.environment, **more}, log=log)


@asynccontextmanager
async def stage(folder: Path, *, is_cluster: bool = False, has_small_disk: bool = False) -> AsyncIterator[Stage]:
    """Server or servers, proxies and workers in `folder`, all stopped at the end."""
    home, fleet = _home(folder, _three_servers if is_cluster else _one_agent)
    members = servers_of(fleet, home)
    async with AsyncExitStack() as stack:
        if has_small_disk and may_mount():
            stack.enter_context(small_disk(members[0].store, SIZE))
        servers = await start_servers(fleet, home)
        for server in servers:
            stack.push_async_callback(server.stop)
        proxy = await stack.enter_async_context(Proxy(fleet.nats.host, fleet.nats.port))
        routes = await stack.enter_async_context(routes_of(members)) if is_cluster else None
        bench = ClusterBench(home, fleet, servers[0], stack, servers=servers, routes=routes)
        if is_cluster:
            await until(bench.is_whole, timeout_s=90, every_s=0.1)  # the first look leads the routes through `routes`
        workers = await _workers(bench, folder / "effects", stack, proxy)
        disk = (SmallDisk(members[0].store) if may_mount() else NoGrowth(servers[0])) if has_small_disk else None
        yield Stage(bench, proxy, workers, folder / "effects", tuple(one.store for one in members), disk)


def _home(folder: Path, change: Callable[[dict[str, Any]], None]) -> tuple[Home, Fleet]:
    source = folder / "source"
    source.mkdir(parents=True)
    fleet_source(source, port=free_port(), change=change)
    agent = source / "agents" / AGENT
    (agent / "agent.yaml").write_text(_AGENT_FILE)
    (agent / "handler.py").write_bytes((Path(__file__).parent / "handler.py").read_bytes())
    home = Home(folder / "home")
    return home, ensure_home(home, source)


async def _workers(bench: ClusterBench, effects: Path, stack: AsyncExitStack, proxy: Proxy) -> list[Child]:
    """Two: of one server, one behind the proxy; of three, each knows others, so that one has a server whichever is away."""
    effects.touch()
    first, *others = (server.url for server in bench.servers)
    urls = (first, ",".join(others) or proxy.url)
    workers = [Child(_command(bench, effects, str(slot), url), lambda _: None) for slot, url in enumerate(urls)]
    for worker in workers:
        stack.push_async_callback(worker.stop)
    await asyncio.gather(*(worker.start() for worker in workers))
    return workers
