"""Three real nats-servers on loopback, provisioned as the product does it, to be killed, cut off and restarted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from agents.home import ensure_home
from bus.connection import Connection
from bus.jetstream import ApiError, call
from bus.provision.provision import start_servers
from bus.provision.streams import Stream, streams_of
from bus.server import LocalServer
from bus.surroundings import Home
from schemas.errors import A2AError
from tests.harness.admin import administrators
from tests.harness.fleet import Bench, fleet_source, free_port, until
from tests.harness.routes import Routes


@dataclass
class ClusterBench(Bench):
    """A bench whose server is three. `profile`, `connect` and the rest know all their addresses.

    `routes` is the network between them, where it may fail.
    """

    servers: tuple[LocalServer, ...] = ()
    routes: Routes | None = None
    _admins: dict[str, Connection] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """All servers."""
        return ",".join(server.url for server in self.servers)

    @property
    def running(self) -> tuple[LocalServer, ...]:
        """All three."""
        return self.servers

    def configured(self, text: str, number: int) -> str:
        """Its routes lead through the network that may fail."""
        return self.routes.redirected(text, number) if self.routes else text

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

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Every stream and bucket of the fleet, those of the load first."""
        return streams_of(self.fleet)

    async def look(self, stream: Stream) -> dict[str, Any]:
        """What the cluster says of a stream, to an administrator of its account: nobody in service may see them all."""
        if not self._admins:
            self._admins = await administrators(self, sorted({stream.account for stream in self.streams}))
        return await call(self._admins[stream.account], f"STREAM.INFO.{stream.name}")

    async def leader(self, stream: Stream) -> LocalServer:
        """The server that leads `stream`, once one does."""
        name = await until(partial(self._leader, stream), timeout_s=30, every_s=0.1)
        return self.servers[int(name.rsplit("-", 1)[1]) - 1]

    async def leader_of(self, account: str, name: str) -> LocalServer:
        """The same, by name."""
        return await self.leader(
            next(stream for stream in self.streams if (stream.account, stream.name) == (account, name))
        )

    async def _leader(self, stream: Stream) -> str:
        try:
            return str((await self.look(stream))["cluster"].get("leader") or "")
        except (A2AError, ApiError):
            return ""

    async def is_whole(self) -> bool:
        """Whether all three servers hold all of every stream."""
        return all([await self._holds(stream) for stream in self.streams])

    async def caught_up(self, timeout_s: float) -> None:
        """Return when all three servers held all of each stream at some moment from now on.

        Under load each stream is behind again at any moment, and all of them at once are seldom not.
        """
        async with asyncio.TaskGroup() as group:
            for stream in self.streams:
                group.create_task(until(partial(self._holds, stream), timeout_s=timeout_s, every_s=0.1))

    async def _holds(self, stream: Stream) -> bool:
        try:
            return _is_whole((await self.look(stream))["cluster"])
        except (A2AError, ApiError):
            return False


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
        await until(bench.is_whole, timeout_s=90, every_s=0.1)
        yield bench
