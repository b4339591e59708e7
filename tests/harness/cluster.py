"""Three real nats-servers on loopback, provisioned as the product does it, to be killed, cut off and restarted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.home import ensure_home
from bus.connection import Connection
from bus.jetstream import call
from bus.provision.provision import start_servers
from bus.server import LocalServer
from bus.surroundings import Home
from schemas import names
from schemas.errors import A2AError
from tests.harness.fleet import Bench, fleet_source, free_port, until


@dataclass
class ClusterBench(Bench):
    """A bench whose server is three. `profile`, `connect` and the rest know all their addresses."""

    servers: tuple[LocalServer, ...] = ()
    _reads_the_trail: Connection | None = None

    @property
    def url(self) -> str:
        """All servers."""
        return ",".join(server.url for server in self.servers)

    async def kill(self, server: LocalServer) -> None:
        """SIGKILL, and start again."""
        server.process.kill()
        await server.process.wait()
        await server.start()

    async def cut_off(self, server: LocalServer, for_s: float) -> None:
        """Nothing goes to it or comes from it for a while, and no connection is closed."""
        server.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)  # longer than the election of another leader takes
        finally:
            server.process.send_signal(signal.SIGCONT)

    async def restart(self, server: LocalServer) -> None:
        """In order, as a new version is installed."""
        await server.stop()
        await server.start()

    async def _auditor(self) -> Connection:
        if self._reads_the_trail is None:
            inbox = names.inbox_prefix("auditor")
            self._reads_the_trail = await self.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=inbox)
        return self._reads_the_trail

    async def leader(self, own: Connection, stream: str) -> LocalServer:
        """The server that leads `stream` in the account of `own`."""
        name = (await call(own, f"STREAM.INFO.{stream}"))["cluster"]["leader"]
        return self.servers[int(name.rsplit("-", 1)[1]) - 1]

    async def is_whole(self, own: Connection) -> bool:
        """Whether all three servers hold all of the trail, and of the streams in the account of `own`."""
        auditor = await self._auditor()
        looks = ((own, f"KV_{names.TASK_BUCKET}"), (own, names.TASK_LOG), (auditor, names.AUDIT))
        try:
            infos = [await call(connection, f"STREAM.INFO.{name}") for connection, name in looks]
        except A2AError:
            return False
        return all(_is_whole(info["cluster"]) for info in infos)


def _is_whole(cluster: dict[str, Any]) -> bool:
    peers = cluster.get("replicas", [])
    return bool(cluster.get("leader")) and len(peers) == 2 and all(peer["current"] for peer in peers)


def three_servers(document: dict[str, Any]) -> None:
    """Make a fleet file one with a cluster."""
    document["nats"]["cluster"] = [{"port": free_port(), "route_port": free_port()} for _ in range(3)]


@asynccontextmanager
async def cluster_bench(
    folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None
) -> AsyncIterator[ClusterBench]:
    """The example fleet in `folder` on three servers; `change` edits its fleet file."""
    source = folder / "source"
    source.mkdir()
    home = Home(folder / "home")

    def changed(document: dict[str, Any]) -> None:
        three_servers(document)
        change(document)

    fleet = ensure_home(home, fleet_source(source, port=free_port(), change=changed))
    async with AsyncExitStack() as stack:
        servers = await start_servers(fleet, home)
        for server in servers:
            stack.push_async_callback(server.stop)
        bench = ClusterBench(home, fleet, servers[0], stack, servers=servers)
        own = await bench.connect("textstats", names.OWN_CREDENTIAL)
        await until(lambda: bench.is_whole(own), timeout_s=90, every_s=0.1)
        yield bench
