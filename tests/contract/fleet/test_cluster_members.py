"""Members come and go on a cluster that runs: each server is told, or none is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agents.cli.agent.new import copied
from agents.membership.moving import Joining, join, leave
from agents.membership.rekeying import rotate
from agents.membership.servers import RELOAD, FarServer, cluster_that_runs
from bus.connection import Connection
from bus.credentials import Credential
from bus.errors import ConnectionRefused, NotProvisioned
from bus.provision.provision import admin_profile
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet
from tests.harness.cluster import ClusterBench, cluster_bench
from tests.harness.fleet import unencrypted

pytestmark = pytest.mark.timeout(180)
NIGHT = "night"


async def let_in(cluster: ClusterBench, key: Credential) -> list[bool]:
    """Whether each server takes the key."""
    found = []
    for server in cluster.servers:
        try:
            connection = await Connection.open(admin_profile(server.url, key, NIGHT))
        except ConnectionRefused:
            found.append(False)
        else:
            found.append(True)
            await connection.close()
    return found


async def test_each_server_lets_in_who_joins(tmp_path: Path) -> None:
    """And refuses the key that was exchanged, and who left; where one server is away nothing is changed."""
    said: list[str] = []
    async with cluster_bench(tmp_path, unencrypted) as cluster:
        home = cluster.home
        other = await cluster.connect("ops")
        moved = await join(
            home, Joining("helper", "agent", {}, copied("basic", "helper", tmp_path / "helper")), "root", said.append
        )
        assert (moved.host, moved.probed > 0) == ("the cluster", True)
        await join(home, Joining(NIGHT, "operator"), "root", said.append)
        key = home.credentials(NIGHT) / names.BUS_CREDENTIAL
        (tmp_path / "old").write_bytes(key.read_bytes())
        (tmp_path / "old").chmod(0o600)
        assert await let_in(cluster, Credential(key)) == [True] * 3
        await rotate(home, [NIGHT], "root", said.append)
        assert await let_in(cluster, Credential(key)) == [True] * 3
        assert await let_in(cluster, Credential(tmp_path / "old")) == [False] * 3
        await cluster.servers[1].stop()
        with pytest.raises(NotProvisioned, match="a change has to reach every server"):
            await leave(home, NIGHT, "root", said.append)
        await cluster.servers[1].start()
        key.replace(tmp_path / "kept")
        (tmp_path / "kept").chmod(0o600)
        assert await let_in(cluster, Credential(tmp_path / "kept")) == [True] * 3
        await leave(home, NIGHT, "root", said.append)
        assert await let_in(cluster, Credential(tmp_path / "kept")) == [False] * 3
        assert other.is_connected


@pytest.fixture
def far() -> Iterator[Fleet]:
    """A fleet whose servers answer, and are no processes that were started with its configurations."""
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [each.getsockname()[1] for each in listening]
        cluster = [{"port": port, "route_port": 6222 + number} for number, port in enumerate(ports)]
        yield Fleet.model_validate({"name": "far", "agents": {"a": {}}, "nats": {"cluster": cluster}})


def test_servers_elsewhere_want_a_command(far: Fleet, tmp_path: Path) -> None:
    """Nothing is done without; with one it is told which server, and which file is its new configuration."""
    home = Home(tmp_path)
    with pytest.raises(NotProvisioned, match=rf"runs on another machine.*\n{RELOAD}='scp"):
        cluster_that_runs(far, home, {})
    command = f'echo "$AGENTBUS_SERVER_HOST $AGENTBUS_SERVER_CONFIG" >>{tmp_path}/told'
    servers = cluster_that_runs(far, home, {**os.environ, RELOAD: command})
    for server in servers:
        server.reload()
    assert (tmp_path / "told").read_text().splitlines() == [
        f"127.0.0.1 {tmp_path}/nats/conf/nats-server-{number}.conf" for number in (1, 2, 3)
    ]
    failing = FarServer("nats://127.0.0.1:1", "far", tmp_path, "echo no way in >&2; false")
    with pytest.raises(NotProvisioned, match="failed for far: no way in"):
        failing.reload()
