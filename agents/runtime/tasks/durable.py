"""The run of one durable task: from its message, however often it is delivered, to where it ends, waits or is given up."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from agents.runtime.large import require_keepable
from agents.runtime.messages import UNWORKABLE
from agents.runtime.tasks.runs import Runs, bound, note
from agents.runtime.tasks.schedule import Schedule
from bus.inbound import Call
from bus.requests import chain
from bus.tasks.commands import Command, TaskCommands
from bus.tasks.dead_letters import GivenUp
from bus.tasks.states import TaskBook, TaskRecord
from schemas import a2a
from schemas.errors import (
    A2AError,
    InvalidArgument,
    Unavailable,
)
from schemas.ids import task_id

MAX_DELIVERIES = 10
"""A task that ended this many workers, failed this often for what may pass, or could not be recorded, is ended as failed."""
_GIVEN_UP = f"given up after {MAX_DELIVERIES} deliveries"
_NO_END = f"{_GIVEN_UP}, none of which came to an end; the agent's log says why"


@dataclass(frozen=True, slots=True)
class DurableTasks:
    """Runs the durable tasks of an agent. `read` decodes and checks what a caller sent."""

    book: TaskBook
    commands: TaskCommands
    schedule: Schedule
    runs: Runs
    read: Callable[[Call], a2a.SendMessageRequest]

    async def run(self, call: Call, sequence: int, delivered: int) -> None:
        """Bring the durable task with this stream sequence to where it ends or waits, unless it is there already.

        One that may not be begun yet is put off, and given to `run` again when it is due.

        Raises:
            GivenUp: it ended because it was delivered too often, or cannot be read.
            AgentbusError: deliver it again.
        """
        identity = task_id(sequence)
        # The first delivery has no record; if there is one after all, the claim fails, and the second one finds it.
        may_be_known = delivered > 1 or call.is_due or call.not_before_ms is not None
        record = await self.book.find(call.caller, identity) if may_be_known else None
        if record is not None and is_over(record.task):
            self.book.found(record)
            if why := _given_up(record.task):
                raise GivenUp(why)  # the worker that ended it may have died before it kept the dead letter
            return  # effects happen once
        try:
            message = self._first_message(call)
            if self.schedule.is_early(call):
                if record is None:  # else it is kept already, and only the acknowledgement was lost
                    await self.schedule.put_off(call, new_record(call, identity, message, is_durable=True))
                return
        except UNWORKABLE as error:
            await self._reject(call, record, identity, error)
            raise GivenUp(str(error)) from None
        if record is None:
            record = new_record(call, identity, message, is_durable=True)
        else:
            await self._take_over(record)
        await self._tried(call, record, message, delivered)

    async def _tried(self, call: Call, record: TaskRecord, message: a2a.Message, delivered: int) -> None:
        """Run it once more, unless that was done often enough; raises as `run`."""
        if delivered > MAX_DELIVERIES:
            await self._give_up(record, _NO_END)
        try:
            await self.runs.run(call, record, message)
        except A2AError as error:
            if delivered < MAX_DELIVERIES:
                raise
            await self._give_up(record, f"{_GIVEN_UP}; the last one failed: {error}")

    async def _give_up(self, record: TaskRecord, why: str) -> NoReturn:
        await self.book.save(record, a2a.FAILED, message=note(record.task, why))
        raise GivenUp(why)

    def _first_message(self, call: Call) -> a2a.Message:
        """What a durable task begins with; raises as `Operations` does for a request, and `chain.refuse_loop`."""
        chain.refuse_loop(call)
        message = self.read(call).message
        if message.task_id:
            raise InvalidArgument("a durable task begins a task; send a further message to a task with SendMessage")
        require_keepable(call.payload)
        return message

    async def _take_over(self, record: TaskRecord) -> None:
        """Go on from another delivery's record.

        Raises:
            Unavailable: that delivery still runs at another instance.
        """
        if await self.commands.give(record.caller, record.task.id, Command("ping")) is not None:
            raise Unavailable(f"task {record.task.id} still runs at another instance")
        await self.book.resume(record)

    async def _reject(self, call: Call, record: TaskRecord | None, identity: str, error: A2AError) -> None:
        if record is None:
            placeholder = a2a.Message(message_id=identity, role="ROLE_USER", parts=())
            record = new_record(call, identity, placeholder, is_durable=True)
        await self.book.save(record, a2a.REJECTED, message=note(record.task, str(error)))


def new_record(call: Call, identity: str, message: a2a.Message, *, is_durable: bool) -> TaskRecord:
    """A task that is not stored yet: its first `save` makes it, unless the id is taken."""
    context = message.context_id or f"c-{os.urandom(12).hex()}"
    status = a2a.TaskStatus(state=a2a.SUBMITTED)
    empty = a2a.Task(id=identity, context_id=context, status=status)
    task = a2a.Task(id=identity, context_id=context, status=status, history=(bound(empty, message),))
    return TaskRecord(call.caller, task, revision=0, event=0, is_durable=is_durable)


def is_over(task: a2a.Task) -> bool:
    """Nothing will happen to it by itself."""
    return task.is_final or task.status.state in a2a.INTERRUPTED


def _given_up(task: a2a.Task) -> str:
    """Why the task's message is a dead letter; empty when it is none: its handler had its say."""
    said = task.status.message.text() if task.status.message else ""
    was_unreadable = task.status.state == a2a.REJECTED and not any(message.parts for message in task.history)
    return said if said.startswith(_GIVEN_UP) or was_unreadable else ""
