"""Three servers with three copies: one of them may be killed, cut off or restarted, and nothing that was accepted is lost.

While tasks are left and requests are asked, the server that leads the tasks' states is killed, cut off, restarted.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from bus.caller import Caller
from bus.connection import Connection
from bus.provision.members import servers_of
from bus.provision.provision import write_files
from bus.provision.server_config import server_config
from bus.server import LocalServer
from bus.surroundings import Home
from schemas import a2a, names
from schemas.documents import parse_yaml
from schemas.errors import A2AError, InvalidDocument, UnknownOutcome
from schemas.fleet import Fleet
from tests.contract.skills import Counting
from tests.harness.agent import caller, saying, serving
from tests.harness.cluster import ClusterBench, cluster_bench
from tests.harness.fleet import until

pytestmark = pytest.mark.timeout(300)
_PATIENCE_S = 90.0
"""A bound, not a measure: an election takes seconds, on a busy machine more."""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ClusterBench]:
    """Three servers."""
    async with cluster_bench(tmp_path) as bench:
        yield bench


class Load:
    """Leaves tasks and asks requests until it is stopped; `left` holds what the server acknowledged."""

    def __init__(self, ops: Caller) -> None:
        self._ops = ops
        self.left: dict[str, str] = {}
        """Task id to text."""
        self.answered = 0
        self._is_over = False

    async def run(self) -> None:
        """Go on until `stop`; what is unavailable is tried again with the same key."""
        number = 0
        while not self._is_over:
            number += 1
            await asyncio.gather(self._leave(f"task {number}"), self._ask(f"request {number}"))

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_over = True

    async def _leave(self, text: str) -> None:
        while True:
            try:
                task = await self._ops.leave_task("textstats", saying(text), key=text)
            except (A2AError, UnknownOutcome):
                await asyncio.sleep(0.05)
            else:
                self.left[task] = text
                return

    async def _ask(self, text: str) -> None:
        try:
            await self._ops.send_message("textstats", saying(text), timeout_s=5)
        except A2AError:
            return
        self.answered += 1


async def _break(cluster: ClusterBench, fault: str, server: LocalServer) -> None:
    if fault == "killed":
        await cluster.kill(server)
    elif fault == "restarted":
        await cluster.restart(server)
    else:
        await cluster.cut_off(server, 5)


async def _is_completed(ops: Caller, task: str) -> bool:
    try:
        return (await ops.get_task("textstats", task)).status.state == a2a.COMPLETED
    except A2AError:
        return False


async def _survives(cluster: ClusterBench, fault: str, own: Connection, load: Load) -> None:
    async def goes_on(answered: int, left: int) -> bool:
        return load.answered > answered + 5 and len(load.left) > left + 5

    await until(partial(goes_on, load.answered, len(load.left)), timeout_s=_PATIENCE_S)
    await _break(cluster, fault, await cluster.leader(own, f"KV_{names.TASK_BUCKET}"))
    await until(partial(cluster.is_whole, own), timeout_s=_PATIENCE_S, every_s=0.1)
    await until(partial(goes_on, load.answered, len(load.left)), timeout_s=_PATIENCE_S)


@pytest.mark.parametrize("fault", ["killed", "cut off", "restarted"])
async def test_nothing_accepted_is_lost_and_nothing_is_done_twice(cluster: ClusterBench, fault: str) -> None:
    """Every task that was acknowledged is completed, and its effect happened once; requests go on being answered."""
    counting = Counting()
    async with (
        serving(cluster, "textstats", counting.skill),
        serving(cluster, "textstats", counting.skill, slot="1"),
    ):
        ops = await caller(cluster)
        own = await cluster.connect("textstats", names.OWN_CREDENTIAL)
        load = Load(ops)
        running = asyncio.create_task(load.run())
        await _survives(cluster, fault, own, load)
        load.stop()
        await running
        for task in load.left:
            await until(partial(_is_completed, ops, task), timeout_s=_PATIENCE_S)
    done = {text: counting.runs[text] for text in load.left.values()}
    assert done == dict.fromkeys(load.left.values(), 1)
    assert len(load.left) > 5


async def test_three_copies_behind_a_secret(cluster: ClusterBench) -> None:
    """Every stream is on all three servers, clients know each address, and a stranger is no server of the cluster."""
    own = await cluster.connect("textstats", names.OWN_CREDENTIAL)
    assert await cluster.is_whole(own)
    context = (cluster.home.contexts / "nats" / "context" / "ops.json").read_text()
    assert len(cluster.url.split(",")) == 3
    assert cluster.url in context
    secret = cluster.home.credentials("cluster") / "route.secret"
    assert secret.stat().st_mode & 0o077 == 0
    member = cluster.fleet.nats.cluster[0]
    reader, writer = await asyncio.open_connection(member.host, member.route_port)
    writer.write(b'CONNECT {"user":"route","pass":"guess","name":"stranger"}\r\nPING\r\n')
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert b"Authorization Violation" in said


def test_servers_on_three_hosts_may_use_one_port(tmp_path: Path) -> None:
    """A server's routes go to the two others, also where all listen on the same port of different hosts."""
    hosts = "".join(f"    - {{host: 10.0.0.{number}, port: 4222, route_port: 6222}}\n" for number in (1, 2, 3))
    fleet = parse_yaml(f"name: f\nagents: {{}}\nnats:\n  cluster:\n{hosts}", Fleet, "fleet.yaml")
    home = Home(tmp_path)
    keys = write_files(fleet, home)
    for server in servers_of(fleet, home):
        routes = re.findall(r"@([0-9.]+):6222", server_config(fleet, server, keys, route_secret="x"))
        assert sorted([*routes, server.host]) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_two_servers_are_no_cluster() -> None:
    """A fleet file with another number of servers is refused, with the number that it needs."""
    text = "name: f\nagents: {}\nnats:\n  cluster:\n    - {port: 1, route_port: 2}\n    - {port: 3, route_port: 4}\n"
    with pytest.raises(InvalidDocument, match="three servers, not 2"):
        parse_yaml(text, Fleet, "fleet.yaml")
