"""What an auditor asks for is what is read: by time, subject, producer, type, conversation, task and outcome."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from bus import trace
from bus.audit.read import Reader, Record
from bus.audit.select import Matcher, Selection, selected, stored_at
from schemas import names
from schemas.audit import AuditEvent, Outcome, decode_event
from schemas.errors import InvalidDocument
from tests.harness.agent import caller as caller_of
from tests.harness.agent import saying, serving
from tests.harness.fleet import Bench, bench, until


async def _reader(running: Bench) -> Reader:
    connection = await running.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor"))
    return Reader(connection, batch=10)


async def _numbers(reader: Reader, wanted: Selection) -> list[object]:
    wanted.check()
    return [_event(record).data.size async for record in selected(reader, wanted)]


def _event(record: Record) -> AuditEvent:
    return decode_event(record.payload)


async def test_a_time_is_found_without_reading_the_stream(tmp_path: Path) -> None:
    """The server names the first message stored at a moment; before all it is the first, after all the next to come."""
    async with bench(tmp_path) as running:
        audit, reader = await running.audit("greeter"), await _reader(running)
        for number in range(5):
            audit.emit("request.received", action="a", size=number)
            await audit.confirm()
        records = [record async for record in reader.records()]
        for record in records[1:]:
            # Python's times end with microseconds: that of a record is at most one before it
            assert await reader.first_since(stored_at(record)) == record.sequence
        a_day = datetime.timedelta(days=1)
        assert await reader.first_since(stored_at(records[0]) - a_day) == records[0].sequence
        assert await reader.first_since(stored_at(records[-1]) + a_day) == records[-1].sequence + 1
        third = stored_at(records[2])
        assert await _numbers(reader, Selection(since=third)) == [2, 3, 4]
        assert await _numbers(reader, Selection(until=third + datetime.timedelta(microseconds=1))) == [0, 1, 2]
        assert await _numbers(reader, Selection(since=third, until=third + datetime.timedelta(microseconds=1))) == [2]


async def test_each_criterion_alone_and_together(tmp_path: Path) -> None:
    """Producer, type, domain, subject, conversation and outcome each choose, also inside messages of many events."""
    one, other = trace.new_trace(), trace.new_trace()
    async with bench(tmp_path) as running:
        greeter, textstats = await running.audit("greeter"), await running.audit("textstats")
        reader = await _reader(running)
        for number in range(60):
            with trace.entered(one if number % 2 else other):
                outcome: Outcome = "denied" if number % 3 == 0 else "success"
                greeter.emit("request.received", action="a", outcome=outcome, size=number)
        await greeter.confirm()
        textstats.emit("request.refused", action="a", size=100)
        textstats.emit("task.changed", action="a", size=101)
        await textstats.confirm()
        cases: list[tuple[Selection, list[object]]] = [
            (Selection(agent="textstats"), [100, 101]),
            (Selection(kind="task"), [101]),
            (Selection(kind="request.refused"), [100]),
            (Selection(subject="audit.agent.textstats.*.task"), [101]),
            (Selection(subject="audit.agent.*.0.request", agent="textstats"), [100]),
            (Selection(correlation=one.correlation), list(range(1, 60, 2))),
            (Selection(correlation=one.correlation, outcome="denied"), list(range(3, 60, 6))),
            (Selection(agent="nobody"), []),
            (Selection(kind="task", agent="greeter"), []),
        ]
        for wanted, numbers in cases:
            assert await _numbers(reader, wanted) == numbers, wanted


async def test_what_was_done_for_a_task_belongs_to_it(tmp_path: Path) -> None:
    """`task` chooses the task's own events and those of the work that was done for it, of no other task."""
    async with bench(tmp_path) as running, serving(running, "greeter") as agent:
        calls = await caller_of(running)
        first = await calls.leave_task("greeter", saying("one"))
        second = await calls.leave_task("greeter", saying("two"))
        reader = await _reader(running)

        async def both_ended() -> bool:
            await agent.audit.confirm()
            ended = [_event(r).data.action async for r in selected(reader, Selection(kind="task.changed"))]
            return sum(action in {"completed", "failed"} for action in ended) == 2

        await until(both_ended)
        found = [_event(record) async for record in selected(reader, Selection(task=first))]
        assert {event.data.resource for event in found} <= {"", "ops", "offline/offline", f"greeter/{first}"}
        assert [event.short_type for event in found][:2] == ["task.received", "task.changed"]
        assert [event.short_type for event in found].count("llm.called") == 1
        assert f"greeter/{second}" not in {event.data.resource for event in found}


async def test_following_goes_on_with_what_comes(tmp_path: Path) -> None:
    """With `follow`, an event that is emitted later is seen, and what does not match is not."""
    async with bench(tmp_path) as running:
        audit, reader = await running.audit("greeter"), await _reader(running)
        seen: list[object] = []

        async def look() -> None:
            async for record in selected(reader, Selection(kind="task"), follow=True):
                seen.extend([_event(record).data.size])

        following = asyncio.create_task(look())
        for number in range(3):
            audit.emit("task.changed", action="a", size=number)
            audit.emit("request.received", action="a", size=-1)
            await audit.confirm()

        async def all_seen() -> bool:
            return seen == [0, 1, 2]

        await until(all_seen)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def test_checkpoints_are_shown_where_no_event_is_asked_for() -> None:
    """What stands on `audit.seal` is no event: it is shown with everything, and to who asks for the sealer."""
    seal = Record(1, "2030-01-31T07:00:00Z", "audit.seal", {}, b"origin\n1\n")
    shown = [Selection(), Selection(agent="sealer"), Selection(start=5)]
    hidden = [
        Selection(agent="greeter"),
        Selection(kind="audit"),
        Selection(task="task-1"),
        Selection(outcome="success"),
    ]
    assert [Matcher(wanted).matches(seal) for wanted in (*shown, *hidden)] == [True] * 3 + [False] * 4
    assert [wanted.pattern for wanted in shown] == [""] * 3


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (Selection(kind="proposals"), "proposal"),
        (Selection(outcome="good"), "denied"),
        (Selection(subject="a2a.>"), "audit."),
        (
            Selection(
                since=datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC),
                until=datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC),
            ),
            "--since",
        ),
    ],
)
def test_what_could_never_match_is_refused(wanted: Selection, word: str) -> None:
    """A type, outcome, subject or time that nothing can have is an error that says what there is."""
    with pytest.raises(InvalidDocument, match=word):
        wanted.check()
