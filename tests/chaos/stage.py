"""What the faults happen to: one server, two worker processes of one agent, one of them behind a proxy.

The server and the workers are started here and not by `agentbus up`: its supervisor stops a fleet whose
server dies five times in a minute, by design.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.home import ensure_home
from agents.supervisor.child import Child, Command
from agents.supervisor.fleet_processes import commands
from bus import surroundings
from bus.provision.provision import start_servers
from bus.surroundings import Home
from tests.harness.cluster import ClusterBench, three_servers
from tests.harness.fleet import Bench, fleet_source, free_port
from tests.harness.proxy import Proxy

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
    """Everything that can be broken. `effects` is the file that the skill appends to."""

    bench: ClusterBench
    proxy: Proxy
    workers: list[Child]
    effects: Path

    @property
    def server_log(self) -> str:
        """What the server has said so far."""
        return (self.bench.home.root / "log" / "nats-server.log").read_text(errors="replace")

    async def restart_server(self, *, is_killed: bool) -> None:
        """End the server, by SIGKILL or in order, and return when it accepts clients again."""
        if is_killed:
            self.bench.server.process.kill()
            await self.bench.server.process.wait()
        else:
            await self.bench.server.stop()
        await self.bench.server.start()

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
async def stage(folder: Path, *, is_cluster: bool = False) -> AsyncIterator[Stage]:
    """Server or servers, proxy and workers in `folder`, all stopped at the end."""
    source = folder / "source"
    source.mkdir(parents=True)
    fleet_source(source, port=free_port(), change=_three_servers if is_cluster else _one_agent)
    agent = source / "agents" / AGENT
    (agent / "agent.yaml").write_text(_AGENT_FILE)
    (agent / "handler.py").write_bytes((Path(__file__).parent / "handler.py").read_bytes())
    home = Home(folder / "home")
    fleet = ensure_home(home, source)
    async with AsyncExitStack() as stack:
        servers = await start_servers(fleet, home)
        for server in servers:
            stack.push_async_callback(server.stop)
        proxy = await stack.enter_async_context(Proxy(fleet.nats.host, fleet.nats.port))
        bench = ClusterBench(home, fleet, servers[0], stack, servers=servers)
        effects = folder / "effects"
        effects.touch()
        urls = (bench.url, bench.url if is_cluster else proxy.url)
        workers = [Child(_command(bench, effects, str(slot), url), lambda _: None) for slot, url in enumerate(urls)]
        for worker in workers:
            stack.push_async_callback(worker.stop)
        await asyncio.gather(*(worker.start() for worker in workers))
        yield Stage(bench, proxy, workers, effects)
