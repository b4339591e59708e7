"""What was begun and has no end is found, and nothing else: after a process that died, and event by event."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agents.home import EXAMPLE
from bus.audit.questions.orphans import Orphan, Orphans
from bus.audit.read import Reader
from bus.audit.told import Told, told
from schemas import names
from schemas.errors import Unavailable
from tests.harness.agent import caller as caller_of
from tests.harness.agent import saying
from tests.harness.fleet import bench, instance, until
from tests.unit.audit.test_audit_tree import an_event


async def _orphans(reader: Reader) -> list[Orphan]:
    fold = Orphans()
    async for record in reader.records():
        for one in told(record):
            fold.add(one)
    return list(fold.found())


FILE = (EXAMPLE / "agents/textstats/agent.yaml").read_text()
HANDLER = '''"""Never answers."""

import asyncio

from agents.skill import Context, skill


@skill(description="Waits without end.")
async def count(request: str, ctx: Context) -> str:
    await asyncio.Event().wait()
    return request
'''


async def test_what_a_dead_process_was_at_is_found(tmp_path: Path) -> None:
    """A request in hand when its process is killed is an orphan; once another process has the slot, one that is over."""
    async with bench(tmp_path, agents={"textstats": (FILE, HANDLER)}) as running:
        calls = await caller_of(running)
        inbox = names.inbox_prefix("auditor")
        reader = Reader(await running.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=inbox))
        with instance(running.home, "textstats", "0", tmp_path / "first"):

            async def ask() -> None:
                while True:  # until the process is up
                    with suppress(Unavailable):
                        await calls.send_message("textstats", saying("hello"), timeout_s=60)
                    await asyncio.sleep(0.05)

            async def is_received() -> list[Orphan]:
                return await _orphans(reader)

            asking = asyncio.create_task(ask())
            await until(is_received, timeout_s=60, every_s=0.1)
        asking.cancel()
        before = await _orphans(reader)
        assert {(one.writer, one.actor, one.is_over) for one in before} == {("textstats", "ops", False)}
        with instance(running.home, "textstats", "0", tmp_path / "second"):

            async def is_over() -> bool:
                found = await _orphans(reader)
                return {one.event for one in found if one.is_over} == {one.event for one in before}

            await until(is_over, timeout_s=60, every_s=0.1)


def _fold(*events: Told) -> list[str]:
    fold = Orphans()
    for one in events:
        fold.add(one)
    return [one.what for one in fold.found()]


def _task(kind: str, writer: str, name: str, **facts: Any) -> Told:
    if kind in {"task.received", "task.redelivered", "task.given_up", "task.refused"}:
        return an_event(kind, writer, name, metadata={"sequence": 7}, **facts)
    return an_event(kind, writer, name, resource="b/task-7", **facts)


BEGUN: dict[str, tuple[Told, Told, str]] = {
    "request": (an_event("request.received", "a", "1"), an_event("request.refused", "a", "2"), "neither answered"),
    "sent": (
        an_event("request.sent", "a", "1", resource="b"), an_event("request.completed", "a", "2", "1", resource="b"),
        "to b sent",
    ),
    "tool": (
        an_event("tool.intended", "a", "1", action="mail"), an_event("tool.finished", "a", "2", "1", action="mail"),
        "tool mail intended",
    ),
    "old tool": (  # as it was written before an end named its beginning
        an_event("tool.intended", "a", "1", action="mail"), an_event("tool.finished", "a", "2", "0", action="mail"),
        "tool mail intended",
    ),
    "apply": (
        an_event("apply.intended", "applier", "1", resource="a/p-1", action="switch"),
        an_event("apply.rolled_back", "applier", "2", resource="a/p-1"), "apply: switch",
    ),
    "task": (
        _task("task.received", "b", "1"), _task("task.changed", "b", "2", action="completed"), "task-7 received"
    ),
    "waiting": (
        _task("task.changed", "b", "1", action="working"), _task("task.changed", "b", "2", action="input_required"),
        "task-7 working",
    ),
    "given up": (_task("task.redelivered", "b", "1"), _task("task.given_up", "b", "2"), "task-7 redelivered"),
    "left": (_task("task.submitted", "a", "1"), _task("task.changed", "b", "2", action="completed"), "never took it"),
    "proposal": (
        an_event("proposal.sent", "a", "1", resource="a/p-1", payload_sha256="d"),
        an_event("proposal.refused", "approvals", "2", payload_sha256="d"), "not recorded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BEGUN)
def test_a_beginning_without_an_end(name: str) -> None:
    """Each kind of beginning is an orphan until its end is told."""
    begun, ended, words = BEGUN[name]
    (what,) = _fold(begun)
    assert words in what
    assert _fold(begun, ended) == []


@pytest.mark.parametrize("name", [name for name in BEGUN if name != "left"])
def test_nobody_else_can_end_it(name: str) -> None:
    """The same end in another's name, on that one's own subject, ends nothing."""
    begun, ended, words = BEGUN[name]
    (what,) = _fold(begun, ended._replace(writer="evil", is_agent=True))
    assert words in what


def test_what_was_put_off_says_until_when() -> None:
    """A task that was put off is open, with the time before which nobody may begin it; begun, it is as any other."""
    fold = Orphans()
    due = "2030-01-31T08:00:00.000Z"
    fold.add(an_event("task.scheduled", "b", "1", resource="b/task-7", metadata={"not_before": due}))
    assert [one.not_before for one in fold.found()] == [due]
    fold.add(_task("task.changed", "b", "2", action="working"))
    assert [one.not_before for one in fold.found()] == [""]


def test_of_two_alike_the_one_that_ended_is_gone() -> None:
    """Two calls at once in one piece of work: the end names which of them is over."""
    first, second = (an_event("request.sent", "a", name, resource="b") for name in ("1", "2"))
    fold = Orphans()
    for one in (first, second, an_event("request.completed", "a", "3", "2", resource="b")):
        fold.add(one)
    assert [one.event for one in fold.found()] == ["1"]


def test_a_task_that_was_taken_before_its_submitter_said_so() -> None:
    """Two producers' batches may be stored in either order: a task that is done is no orphan."""
    done = _task("task.changed", "b", "1", action="completed")
    assert _fold(_task("task.received", "b", "0"), done, _task("task.submitted", "a", "2")) == []
