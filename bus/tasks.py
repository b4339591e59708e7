"""The current state of an agent's tasks, kept in the agent's own account and written by compare-and-set.

A task belongs to its caller: the key starts with the caller's token, so nobody reads another's task.
Every change is also published as an event of stream EVENTS.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import structlog

from bus.audit.emit import Audit
from bus.connection import Connection
from bus.jetstream import WRONG_LAST_SEQUENCE, ApiError, Bucket, store
from schemas import a2a, names, protojson, subjects
from schemas.errors import A2AError, AgentbusError, DeadlineExceeded, TaskNotFound, Unavailable, UnknownOutcome
from schemas.ids import rfc3339

_log = structlog.get_logger("bus")
_PATIENCE_S = 30.0
_RETRY_S = 0.2


class StaleTask(AgentbusError):
    """Another instance changed this task meanwhile; what this one knows of it is old."""


class TaskRecord:
    """One task of one caller, as this process last saw it; `save` moves it on."""

    def __init__(self, caller: str, task: a2a.Task, revision: int) -> None:
        self.caller = caller
        self.task = task
        self.revision = revision


class TaskBook:
    """All tasks of one agent. `own` is the connection to the agent's account, `bus` the one that agents share.

    Each state that is stored is on the trail at once, before anything is awaited again. A worker that dies
    between the two leaves a state without its event: whoever finds that state says so with `found`.
    """

    def __init__(
        self, agent: str, own: Connection, bus: Connection, audit: Audit, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._agent = agent
        self._audit = audit
        self._bucket = Bucket(own, names.TASK_BUCKET)
        self._bus = bus
        self._now = now

    async def require(self) -> None:
        """Check that provisioning made the bucket.

        Raises:
            NotProvisioned: it is not there.
        """
        await self._bucket.require()

    async def open(self, caller: str, task: a2a.Task) -> TaskRecord:
        """Record a new task.

        Raises:
            StaleTask: the id is taken.
        """
        record = TaskRecord(caller, task, 0)
        await self._write(record, task)
        return record

    async def find(self, caller: str, task: str) -> TaskRecord | None:
        """The task, when it belongs to `caller`."""
        subjects.require_token("task", task)
        entry = await self._bucket.get(f"{caller}.{task}")
        if entry is None:
            return None
        return TaskRecord(caller, protojson.decode(entry.value, a2a.Task), entry.revision)

    async def get(self, caller: str, task: str) -> a2a.Task:
        """As `find`.

        Raises:
            TaskNotFound: the caller has no such task.
        """
        try:
            record = await self.find(caller, task)
        except ValueError:
            record = None
        if record is None:
            raise TaskNotFound(f"{caller} has no task {task[:70]!r} at {self._agent}")
        return record.task

    async def save(
        self,
        record: TaskRecord,
        state: a2a.TaskState,
        *,
        message: a2a.Message | None = None,
        artifacts: tuple[a2a.Artifact, ...] = (),
    ) -> None:
        """Move a task to `state`, adding `artifacts`; then publish the event.

        Raises:
            StaleTask: another instance was faster, or the task has ended already.
            Unavailable, UnknownOutcome: the server stayed away for longer than half a minute.
        """
        if record.task.is_final:
            raise StaleTask(f"task {record.task.id} has ended as {record.task.status.state}")
        status = a2a.TaskStatus(state=state, message=message, timestamp=rfc3339(self._now()))
        task = msgspec.structs.replace(record.task, status=status, artifacts=record.task.artifacts + artifacts)
        await self._write(record, task)

    def found(self, record: TaskRecord) -> None:
        """Say on the trail that a task was delivered again after its end: the event of that end may be lost."""
        self._tell("task.found", record)

    def _tell(self, kind: str, record: TaskRecord) -> None:
        state = record.task.status.state.removeprefix("TASK_STATE_").lower()
        self._audit.emit(kind, actor=record.caller, action=state, resource=f"{self._agent}/{record.task.id}")

    async def _write(self, record: TaskRecord, task: a2a.Task) -> None:
        key = f"{record.caller}.{task.id}"
        record.revision = await self._put(key, protojson.encode(task), record.revision)
        record.task = task
        self._tell("task.changed", record)
        await self._publish(record)

    async def _put(self, key: str, value: bytes, revision: int) -> int:
        """Write through an outage: a result in hand is worth waiting for, giving up means that the work is done twice."""
        deadline = time.monotonic() + _PATIENCE_S
        is_unsure = False
        while True:
            try:
                return await self._put_once(key, value, revision, is_unsure=is_unsure)
            except (UnknownOutcome, Unavailable, DeadlineExceeded):
                if time.monotonic() > deadline:
                    raise
            is_unsure = True
            await asyncio.sleep(_RETRY_S)

    async def _put_once(self, key: str, value: bytes, revision: int, *, is_unsure: bool) -> int:
        try:
            return await self._bucket.put(key, value, revision=revision)
        except ApiError as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
        entry = await self._bucket.get(key) if is_unsure else None
        if entry is not None and entry.value == value:
            return entry.revision  # it was stored at the try whose answer was lost
        raise StaleTask(f"task {key.partition('.')[2]} was changed elsewhere")

    async def _publish(self, record: TaskRecord) -> None:
        task = record.task
        update = a2a.TaskStatusUpdateEvent(task_id=task.id, context_id=task.context_id, status=task.status)
        subject = str(subjects.TaskEvent(self._agent, record.caller, task.id))
        # no message id: the stream looks for duplicates by it alone, and another agent could use a guessed one first
        headers = {names.A2A_VERSION: a2a.PROTOCOL_VERSION}
        try:
            await store(self._bus, subject, protojson.encode(a2a.StreamResponse(status_update=update)), headers=headers)
        except (ApiError, A2AError, UnknownOutcome) as error:
            # The record is what counts and is stored; a watcher that misses an event reads it there.
            _log.warning("task.event_lost", task=task.id, reason=str(error))
