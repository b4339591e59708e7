"""What callers do with tasks that there are: read, list, follow and cancel them. Each sees its own alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from agents.runtime.tasks.durable import is_over
from agents.runtime.tasks.listing import page_of, shown, with_history
from agents.runtime.tasks.runs import note
from agents.runtime.tasks.schedule import Schedule
from agents.runtime.tasks.waiting import Waiting
from bus.inbound import Call
from bus.requests.streaming import Stream
from bus.tasks.commands import Command, TaskCommands
from bus.tasks.copies import Update
from bus.tasks.states import TaskBook, TaskRecord
from schemas import a2a, protojson
from schemas.errors import TaskNotCancelable, UnsupportedOperation

_LOST = "the instance that ran it has ended"


class KnownTasks:
    """The operations of A2A upon tasks of one agent. One that works is asked of the instance that runs it."""

    def __init__(self, book: TaskBook, commands: TaskCommands, schedule: Schedule, waiting: Waiting) -> None:
        self._book = book
        self._commands = commands
        self._schedule = schedule
        self._waiting = waiting

    async def get_task(self, call: Call) -> a2a.Task:
        """GetTask: the caller's own task only."""
        request = protojson.decode(call.payload or b"{}", a2a.GetTaskRequest)
        record = await self._book.require_record(call.caller, request.id)
        task = await self._ended_if_lost(record)
        return with_history(task, request.history_length)

    async def list_tasks(self, call: Call) -> a2a.ListTasksResponse:
        """ListTasks: the caller's own, the one that changed last first."""
        request = protojson.decode(call.payload or b"{}", a2a.ListTasksRequest)
        page = page_of(await self._book.heads_of(call.caller), request)
        tasks = await self._book.those(call.caller, page.ids)
        return a2a.ListTasksResponse(
            tasks=tuple(shown(task, request) for task in tasks),
            next_page_token=page.next_token,
            page_size=page.size,
            total_size=page.total,
        )

    async def subscribe_to_task(self, call: Call) -> Stream:
        """SubscribeToTask: the task and then its updates; only the updates after the one that the caller names."""
        request = protojson.decode(call.payload or b"{}", a2a.SubscribeToTaskRequest)
        record = await self._book.require_record(call.caller, request.id)
        task = await self._ended_if_lost(record)
        if task.is_final and call.last_event is None:
            raise UnsupportedOperation(f"task {task.id} has ended; read it with GetTask")
        return Stream(self._updates(record.caller, task.id, call.last_event))

    async def _updates(self, caller: str, task: str, after: int | None) -> AsyncGenerator[Update, None]:
        async with self._book.watch(caller, task) as watch:
            if after is None:
                record = await self._book.require_record(caller, task)
                after = record.event
                yield as_it_stands(record)
                if is_over(record.task):
                    return
            async for update in watch.updates(after):
                yield update

    async def _ended_if_lost(self, record: TaskRecord) -> a2a.Task:
        """The task; failed where it stands at work that nobody does and nothing will begin again."""
        task = record.task
        if record.is_durable or is_over(task):
            return task
        alive = await self._commands.give(record.caller, task.id, Command("ping"))
        if alive is not None:
            return task
        return await self._book.amend(record.caller, task.id, self._lost)

    def _lost(self, task: a2a.Task) -> a2a.Task:
        return task if is_over(task) else self._moved(task, a2a.FAILED, _LOST)

    async def cancel_task(self, call: Call) -> a2a.Task:
        """CancelTask: stops the work wherever it runs; canceling again changes nothing."""
        request = protojson.decode(call.payload or b"{}", a2a.CancelTaskRequest)
        task = await self._book.get(call.caller, request.id)
        if not task.is_final:
            stopped = await self._commands.give(call.caller, task.id, Command("cancel"))
            if stopped is not None:
                self._waiting.withdraw(stopped)
                return stopped
        canceled = await self._book.amend(call.caller, task.id, self._canceled)
        if not task.is_final:
            await self._schedule.forget(call.caller, canceled)
            self._waiting.withdraw(canceled)
        return canceled

    def _canceled(self, task: a2a.Task) -> a2a.Task:
        if task.status.state == a2a.CANCELED:
            return task
        if task.is_final:
            raise TaskNotCancelable(f"task {task.id} has ended already")
        return self._moved(task, a2a.CANCELED, "canceled by the caller")

    def _moved(self, task: a2a.Task, state: a2a.TaskState, why: str) -> a2a.Task:
        status = a2a.TaskStatus(state=state, message=note(task, why), timestamp=self._book.stamp())
        return msgspec.structs.replace(task, status=status)


def as_it_stands(record: TaskRecord, history_length: int | None = None) -> Update:
    """What a stream begins with: the task, under the number of its last update."""
    task = with_history(record.task, history_length)
    return Update(record.event, protojson.encode(a2a.StreamResponse(task=task)))
