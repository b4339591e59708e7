"""Three servers with three copies: one of them may be killed, cut off or restarted, and nothing that was accepted is lost.

While tasks are left and requests are asked, the server that leads the tasks' states is killed, cut off, restarted.
"""

from __future__ import annotations

import asyncio
import datetime
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.skill import Context, Skill, skill
from bus.provision.members import servers_of
from bus.provision.provision import write_files
from bus.provision.server_config import server_config
from bus.requests.caller import Caller
from bus.server import LocalServer
from bus.surroundings import Home
from schemas import a2a, names
from schemas.documents import parse_yaml
from schemas.errors import A2AError, InvalidDocument, UnknownOutcome
from schemas.fleet import Fleet
from tests.chaos.judge import after_ns, is_twice
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.cluster import ClusterBench, cluster_bench
from tests.harness.fleet import until

pytestmark = pytest.mark.timeout(300)
OWN = names.own_account("textstats")
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


class Timed:
    """A skill that notes when each run of a text began: a run may be repeated while its end is not stored, not later."""

    def __init__(self) -> None:
        self.begun: dict[str, list[int]] = defaultdict(list)

    @property
    def skill(self) -> Skill:
        @skill(description="Notes when it begins.", id="timed")
        async def timed(request: str, ctx: Context) -> str:
            self.begun[request].append(time.time_ns())
            return request

        return timed

    async def require_once(self, cluster: ClusterBench, left: Mapping[str, str], *agents: Agent) -> None:
        """Each task of `left` was run, its end was stored once, and no run of it began after that."""
        stored: dict[str, list[int]] = defaultdict(list)
        for event in await trail(cluster, *agents, kind="task.changed"):
            if event.data.action == "completed":
                stored[event.data.resource.removeprefix("textstats/")].append(after_ns(event.time))
        assert {task for task in left if not stored[task]} == set()
        assert {text for text in left.values() if not self.begun[text]} == set()
        assert {task for task, text in left.items() if is_twice(stored[task], self.begun[text])} == set()


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


async def _survives(cluster: ClusterBench, fault: str, load: Load) -> None:
    async def goes_on(answered: int, left: int) -> bool:
        return load.answered > answered + 5 and len(load.left) > left + 5

    await until(partial(goes_on, load.answered, len(load.left)), timeout_s=_PATIENCE_S)
    await _break(cluster, fault, await cluster.leader_of(OWN, f"KV_{names.TASK_BUCKET}"))
    await until(cluster.is_whole, timeout_s=_PATIENCE_S, every_s=0.1)
    await until(partial(goes_on, load.answered, len(load.left)), timeout_s=_PATIENCE_S)


@pytest.mark.parametrize("fault", ["killed", "cut off", "restarted"])
async def test_nothing_accepted_is_lost_and_nothing_is_done_twice(cluster: ClusterBench, fault: str) -> None:
    """Every task that was acknowledged is completed once, and not run after that; requests go on being answered."""
    timed = Timed()
    async with (
        serving(cluster, "textstats", timed.skill) as first,
        serving(cluster, "textstats", timed.skill, slot="1") as second,
    ):
        ops = await caller(cluster)
        load = Load(ops)
        running = asyncio.create_task(load.run())
        await _survives(cluster, fault, load)
        load.stop()
        await running
        for task in load.left:
            await until(partial(_is_completed, ops, task), timeout_s=_PATIENCE_S)
        await timed.require_once(cluster, load.left, first, second)
    assert len(load.left) > 5


@pytest.mark.parametrize("is_due", [False, True], ids=["while they wait", "while they fall due"])
async def test_tasks_that_are_put_off_survive_their_leader(cluster: ClusterBench, is_due: bool) -> None:
    """When the server that holds an agent's schedules is killed, another one gives the tasks back, and each is done once."""
    timed = Timed()
    async with serving(cluster, "textstats", timed.skill) as agent:
        ops = await caller(cluster)
        due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=15)
        texts = [str(number) for number in range(30)]
        left = {await ops.leave_task("textstats", saying(text), not_before=due): text for text in texts}

        async def have_begun() -> bool:
            return len(timed.begun) > 0

        async def are_kept() -> bool:
            return (await ops.list_tasks("textstats")).total_size == len(left)

        await until(have_begun if is_due else are_kept, timeout_s=_PATIENCE_S, every_s=0.001)
        await cluster.kill(await cluster.leader_of(OWN, names.TASK_LATER))
        await until(cluster.is_whole, timeout_s=_PATIENCE_S, every_s=0.1)
        for task in left:
            await until(partial(_is_completed, ops, task), timeout_s=_PATIENCE_S)
        await timed.require_once(cluster, left, agent)
    assert timed.begun.keys() == set(texts)


async def test_three_copies_behind_a_secret(cluster: ClusterBench) -> None:
    """Every stream is on all three servers, clients know each address, and a stranger is no server of the cluster."""
    assert await cluster.is_whole()
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


async def test_a_large_part_is_there_after_a_server_was_killed(cluster: ClusterBench) -> None:
    """What was stored of a large part is on two of three disks, and a copy that is late does not make it look lost."""
    ops, content = await caller(cluster), bytes(range(256)) * 20480
    part = a2a.Part(raw=content)
    asked = saying("how long?")
    asked = replace(asked, message=replace(asked.message, parts=(*asked.message.parts, part)))
    task = await ops.leave_task("textstats", asked)

    @skill(description="Gives back what it was sent.")
    async def mirror(request: str, ctx: Context) -> a2a.Part:
        return ctx.message.parts[1]

    async def result() -> a2a.Task | None:
        try:
            found = await ops.get_task("textstats", task)
        except A2AError:
            return None
        return found if found.is_final else None

    async with serving(cluster, "textstats", mirror, takes_tasks=False) as agent:
        await cluster.kill(cluster.servers[0])
        agent.worker.start()
        found = await until(result, timeout_s=_PATIENCE_S)
    assert found is not None
    assert found.artifacts[0].parts == (part,)


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
