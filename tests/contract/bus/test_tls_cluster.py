"""Three servers that speak TLS with each other."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

from bus.address import read_address
from tests.harness.cluster import ClusterBench, cluster_bench


def _encrypted(fleet: dict[str, Any]) -> None:
    fleet["nats"]["tls"] = True


async def test_a_cluster_works_over_tls(tmp_path: Path) -> None:
    """Its streams have their copies, a message crosses from one server to another, and no stranger becomes a route."""
    async with cluster_bench(tmp_path, _encrypted) as running:
        first, *_, last = running.servers
        heard = asyncio.Event()
        worker = await running.connect("textstats", url=first.url)
        await worker.subscribe("a2a.v1.roll.*", lambda _: heard.set())
        await worker.flush()
        person = await running.connect("ops", url=last.url)
        while not heard.is_set():  # the other server learns a moment later who listens
            await person.publish("a2a.v1.roll.ops")
            await person.flush()
        for port in (member.route_port for member in running.fleet.nats.cluster):
            assert await _said_to_a_stranger(running, port) == b""


async def _said_to_a_stranger(running: ClusterBench, port: int) -> bytes:
    """What a route hears that shows no certificate; nothing is said to it before that."""
    context = read_address(running.servers[0].url).context()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.transport.abort()
    return b""
