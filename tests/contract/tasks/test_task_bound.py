"""How many durable tasks of one caller for one agent are stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bus.errors import NotProvisioned
from bus.jetstream import call
from bus.provision.provision import start_server
from schemas import names, protojson, subjects
from schemas.errors import RateLimited
from tests.harness.admin import administrator, stored_count
from tests.harness.agent import caller, saying
from tests.harness.cluster import cluster_bench
from tests.harness.fleet import Bench, bench, until

MOST = 1000
BOUND = ("max_msgs_per_subject", "discard_new_per_subject")


def few(document: dict[str, Any]) -> None:
    """A bound that a test reaches in no time."""
    document["tasks_per_caller"] = MOST


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Bench]:
    """A fleet in which few tasks of a caller are stored."""
    async with bench(tmp_path, change=few) as running:
        yield running


async def filled(fleet: Bench, tasks: int) -> None:
    """Leave so many tasks of ops for textstats, with nothing between them and the server."""
    connection = await fleet.connect("ops", inbox_prefix=names.inbox_prefix("ops"))
    subject, payload = str(subjects.Task("textstats", "ops")), protojson.encode(saying("x"))
    await connection.publish_all([(subject, payload, {})] * tasks)
    await connection.flush()
    admin = await administrator(fleet, names.ACCOUNT_BUS)

    async def are_stored() -> bool:
        return await stored_count(admin, names.TASKS) == tasks

    await until(are_stored)
    await admin.close()


async def test_a_caller_that_loops_is_refused_and_nobody_else(small: Bench) -> None:
    """At the bound its next task is refused with advice, nothing that is stored goes, and others find room as before."""
    await filled(small, MOST)
    ops, concierge = await caller(small), await caller(small, "concierge")
    with pytest.raises(RateLimited, match=r"ops has left as many tasks for textstats .* each counts for 30 days"):
        await ops.leave_task("textstats", saying("one more"))
    number = MOST
    assert await concierge.leave_task("textstats", saying("theirs")) == f"task-{number + 1}"
    assert await ops.leave_task("greeter", saying("another agent")) == f"task-{number + 2}"
    admin = await administrator(small, names.ACCOUNT_BUS)
    state = (await call(admin, f"STREAM.INFO.{names.TASKS}"))["state"]
    assert (state["first_seq"], state["messages"]) == (1, number + 2)


@pytest.mark.timeout(300)
async def test_a_cluster_keeps_to_the_bound(tmp_path: Path) -> None:
    """However many are left at the same moment, so many are stored; the rest is refused, and none is lost that was not."""

    def fewest(document: dict[str, Any]) -> None:
        document["tasks_per_caller"] = 20

    async with cluster_bench(tmp_path, change=fewest) as cluster:
        ops = await caller(cluster)
        asked = (ops.leave_task("textstats", saying(str(number))) for number in range(40))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert len({answer for answer in answers if isinstance(answer, str)}) == 20
        assert sum(isinstance(answer, RateLimited) for answer in answers) == 20
        concierge = await caller(cluster, "concierge")
        assert (await concierge.leave_task("textstats", saying("theirs"))).startswith("task-")


async def _unbounded(fleet: Bench) -> None:
    """Make TASKS what it was in a home of before, and stop the server."""
    admin = await administrator(fleet, names.ACCOUNT_BUS)
    config = (await call(admin, f"STREAM.INFO.{names.TASKS}"))["config"]
    await call(admin, f"STREAM.UPDATE.{names.TASKS}", config | {BOUND[0]: -1, BOUND[1]: False})
    await admin.close()
    await fleet.server.stop()


async def _started(fleet: Bench) -> dict[str, Any]:
    """Start the fleet as a new version does; the stream as it is then."""
    fleet.server = await start_server(fleet.fleet, fleet.home)
    fleet.stack.push_async_callback(fleet.server.stop)
    admin = await administrator(fleet, names.ACCOUNT_BUS)
    return await call(admin, f"STREAM.INFO.{names.TASKS}")


async def test_a_home_of_before_gets_the_bound(small: Bench) -> None:
    """Where no caller is near it; every task that was there is there afterwards."""
    await filled(small, MOST // 2)
    await _unbounded(small)
    info = await _started(small)
    assert [info["config"].get(key) for key in BOUND] == [MOST, True]
    assert info["state"]["messages"] == MOST // 2


async def test_a_home_of_before_that_is_near_the_bound_is_not_touched(small: Bench) -> None:
    """Where the server could drop tasks for it, the start stops with what differs; `tasks_per_caller` raised lets it start."""
    await filled(small, MOST // 2 + 1)
    await _unbounded(small)
    with pytest.raises(NotProvisioned, match="TASKS has max_msgs_per_subject -1"):
        await start_server(small.fleet, small.home)
    small.fleet = small.fleet.model_copy(update={"tasks_per_caller": 2 * MOST})
    info = await _started(small)
    assert info["config"]["max_msgs_per_subject"] == 2 * MOST
    assert info["state"]["messages"] == MOST // 2 + 1
