"""Durable tasks with a time before which they may not be begun: refused, put off, or freed when they are canceled."""

from __future__ import annotations

import time

import msgspec
import structlog

from bus.audit.emit import Audit
from bus.inbound import Call
from bus.tasks.later import Later
from bus.tasks.not_before import MAX_AHEAD_S
from bus.tasks.states import TaskBook, TaskRecord
from schemas import a2a, names
from schemas.errors import AgentbusError, InvalidArgument, UnsupportedOperation
from schemas.ids import rfc3339

_log = structlog.get_logger("agent")
_SLACK_S = 60
"""How far the clocks of caller and agent may be apart before a task at the very limit is refused."""


def refuse_message(task: a2a.Task) -> None:
    """Return unless the task was put off and nobody has begun it.

    Raises:
        UnsupportedOperation: there is no work yet that could take a further message.
    """
    if task.status.state == a2a.SUBMITTED and (due := task.metadata.get(names.NOT_BEFORE_KEY)):
        raise UnsupportedOperation(
            f"task {task.id} waits until {due} and takes no message before; cancel it and leave another, or wait"
        )


class Schedule:
    """What an agent does with tasks that are not due."""

    def __init__(self, agent: str, later: Later, book: TaskBook, audit: Audit) -> None:
        self._agent = agent
        self._later = later
        self._book = book
        self._audit = audit

    def is_early(self, call: Call) -> bool:
        """Whether the task must be put off.

        Raises:
            InvalidArgument: its time is too far away, or its deadline is over by then.
        """
        due_ms, now_ms = call.not_before_ms, time.time() * 1000
        if due_ms is None or call.is_due:
            return False
        if call.deadline_ms is not None and call.deadline_ms <= due_ms:
            raise InvalidArgument(f"{names.DEADLINE} is not after {names.NOT_BEFORE}: the task could never be done")
        if due_ms > now_ms + (MAX_AHEAD_S + _SLACK_S) * 1000:
            raise InvalidArgument(
                f"{names.NOT_BEFORE} is more than {MAX_AHEAD_S // 86400} days away; leave the task later"
            )
        return due_ms > now_ms

    async def put_off(self, call: Call, record: TaskRecord) -> None:
        """Keep a new task until it is due, then say that it is there and when it will be begun.

        Raises:
            RateLimited, PayloadTooLarge: there is no room for it.
            AgentbusError: it could not be stored; deliver it again.
        """
        task = record.task
        await self._later.keep(call, task.id)
        due = rfc3339((call.not_before_ms or 0) * 1_000_000)
        record.task = msgspec.structs.replace(task, metadata={**task.metadata, names.NOT_BEFORE_KEY: due})
        await self._book.save(record, a2a.SUBMITTED)
        resource = f"{self._agent}/{task.id}"
        self._audit.emit(
            "task.scheduled", actor=call.caller, action="put off", resource=resource, metadata={"not_before": due}
        )

    async def forget(self, caller: str, task: a2a.Task) -> None:
        """Free the place of a task that has ended before it was due; where that fails, it is freed when it is due."""
        if names.NOT_BEFORE_KEY not in task.metadata:
            return
        try:
            await self._later.hurry(caller, task.id)
        except AgentbusError as error:
            _log.warning("task.place_kept", task=task.id, reason=str(error))
