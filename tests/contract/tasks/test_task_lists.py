"""ListTasks over a real server: filters, what is shown, and lists of many tasks."""

from __future__ import annotations

import asyncio
import datetime

import msgspec
import pytest

from bus.jetstream import Bucket
from schemas import a2a, names, protojson
from schemas.errors import InvalidArgument
from schemas.ids import rfc3339
from tests.contract.agents.skills import echo
from tests.contract.tasks.test_task_operations import background, further, order
from tests.harness.agent import Agent, caller, reaches, saying, serving
from tests.harness.fleet import Bench

MANY = 5_000


async def test_only_those_that_changed_since_a_time_are_listed(fleet_bench: Bench) -> None:
    """`statusTimestampAfter` is a time in whatever zone; a task whose status is of that time is listed too."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", echo):
        old = await reaches(ops, (await background(ops, "old")).id, a2a.COMPLETED)
        new = await reaches(ops, (await background(ops, "new")).id, a2a.COMPLETED)
        moment = datetime.datetime.fromisoformat(new.status.timestamp)
        elsewhere = moment.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30))).isoformat()
        for after in (new.status.timestamp, elsewhere):
            page = await ops.list_tasks("textstats", a2a.ListTasksRequest(status_timestamp_after=after))
            assert ([task.id for task in page.tasks], page.total_size) == ([new.id], 1)
        all_of_them = a2a.ListTasksRequest(status_timestamp_after=old.status.timestamp)
        assert (await ops.list_tasks("textstats", all_of_them)).total_size == 2


@pytest.mark.parametrize("after", ["yesterday", "2030-13-01T00:00:00Z", "1"])
async def test_a_time_that_is_none_is_refused(fleet_bench: Bench, after: str) -> None:
    """A bad time is named, also by an agent that has no task at all."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", echo):
        with pytest.raises(InvalidArgument) as refusal:
            await ops.list_tasks("textstats", a2a.ListTasksRequest(status_timestamp_after=after))
    assert [violation.field for violation in refusal.value.violations] == ["statusTimestampAfter"]


async def test_a_list_shows_as_much_of_the_history_as_is_asked_for(fleet_bench: Bench) -> None:
    """The last messages, none without being asked, all where there are fewer."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", order):
        asked = (await ops.send_message("textstats", saying("shirt"))).task
        assert asked is not None
        await ops.send_message("textstats", further("large", asked))
        whole = ["shirt", "Which size?", "large", "Which colour?"]
        for length, said in {None: [], 0: [], 1: whole[-1:], 3: whole[-3:], 100: whole}.items():
            page = await ops.list_tasks("textstats", a2a.ListTasksRequest(history_length=length))
            assert [message.text() for message in page.tasks[0].history] == said


async def _store(agent: Agent, number: int) -> None:
    """A completed task of ops as the agent keeps it, with an artifact of 1 KB."""
    task = a2a.Task(
        id=f"t-{number}",
        context_id="c",
        status=a2a.TaskStatus(state=a2a.COMPLETED, timestamp=rfc3339(1_800_000_000_000_000_000 + number * 1_000_000)),
        artifacts=(a2a.Artifact(artifact_id="a", parts=(a2a.Part(text="x" * 1000),)),),
    )
    await Bucket(agent.own, names.TASK_BUCKET).put(f"ops.{task.id}", protojson.encode(task), revision=0)


@pytest.mark.timeout(120)
async def test_a_page_of_many_tasks_reads_what_it_shows(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5,000 tasks all are read for the first page and for no other; a page decodes the tasks that it shows, and what
    another instance stored since is in it."""
    ops = await caller(fleet_bench)
    async with (
        serving(fleet_bench, "textstats", echo) as agent,
        serving(fleet_bench, "textstats", echo, slot="1", takes_requests=False) as other,
    ):
        for start in range(0, MANY, 100):
            await asyncio.gather(*(_store(agent, start + number) for number in range(100)))
        first = await ops.list_tasks("textstats", a2a.ListTasksRequest(page_size=100))
        assert (first.total_size, first.tasks[0].id, len(first.tasks)) == (MANY, f"t-{MANY - 1}", 100)
        decoded, decode = list[object](), protojson.decode

        def counted(payload: bytes, kind: type[object]) -> object:
            decoded.append(kind)
            return decode(payload, kind)

        monkeypatch.setattr("schemas.protojson.decode", counted)
        read, add = list[int](), agent.book._index._known["ops"].add

        def reading(record: object) -> None:
            read.append(1)
            add(record)  # type: ignore[arg-type]

        monkeypatch.setattr(agent.book._index._known["ops"], "add", reading)
        await _store(other, MANY)
        token = first.next_page_token
        second = await ops.list_tasks("textstats", a2a.ListTasksRequest(page_size=100, page_token=token))
        assert (second.total_size, second.tasks[0].id) == (MANY + 1, f"t-{MANY - 101}")
        assert decoded.count(a2a.Task) == 100
        assert len(read) == 1
        newest = await ops.list_tasks("textstats", msgspec.structs.replace(a2a.ListTasksRequest(), page_size=1))
        assert newest.tasks[0].id == f"t-{MANY}"
