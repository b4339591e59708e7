"""The current state of an agent's tasks, kept in the agent's own account and written by compare-and-set.

A task belongs to its caller: the key starts with the caller's token, so nobody reads another's task.
One instance runs a task at a time and is the only one to write it; others ask that instance (see
`bus.tasks.commands`), or write themselves when nobody runs it. Every change is also an update of the task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from bus.audit.emit import Audit
from bus.connection import Connection
from bus.errors import StorageFull
from bus.jetstream import Bucket, Entry, Overtaken
from bus.outage import AWAY, through_outage
from bus.tasks import retention
from bus.tasks.copies import Update
from bus.tasks.index import TaskHead, TaskIndex
from bus.tasks.log import TaskLog, Watch, status_update
from schemas import a2a, names, protojson, subjects
from schemas.errors import AgentbusError, TaskNotFound, Unavailable
from schemas.ids import rfc3339

_TRIES = 8
_DURABLE, _UNATTENDED = "durable", "unattended"


class StaleTask(AgentbusError):
    """Another instance changed this task meanwhile; what this one knows of it is old."""


class TaskRecord:
    """One task of one caller, as this process last saw it; `save` moves it on.

    `event` numbers its newest update. `is_durable`: when its worker dies, it is begun again.
    """

    def __init__(self, caller: str, task: a2a.Task, *, revision: int, event: int, is_durable: bool) -> None:
        self.caller = caller
        self.task = task
        self.revision = revision
        self.event = event
        self.is_durable = is_durable

    @property
    def key(self) -> str:
        """Where the snapshot is kept."""
        return f"{self.caller}.{self.task.id}"


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
        self._index = TaskIndex(own)
        self._log = TaskLog(agent, own, bus)
        self._now = now

    async def require(self) -> None:
        """Check that provisioning made the bucket.

        Raises:
            NotProvisioned: it is not there.
        """
        await self._bucket.require()

    async def find(self, caller: str, task: str) -> TaskRecord | None:
        """The task, when it belongs to `caller`."""
        subjects.require_token("task", task)
        entry = await self._bucket.get(f"{caller}.{task}")
        return _record(caller, entry) if entry else None

    async def require_record(self, caller: str, task: str) -> TaskRecord:
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
        return record

    async def get(self, caller: str, task: str) -> a2a.Task:
        """The task itself; raises as `require_record`."""
        return (await self.require_record(caller, task)).task

    async def heads_of(self, caller: str) -> list[TaskHead]:
        """Of every task of `caller` what a list is chosen and ordered by."""
        return await self._index.of(caller)

    async def those(self, caller: str, ids: Sequence[str]) -> list[a2a.Task]:
        """The tasks with these ids, in this order, as they are now; without those that are gone."""
        records = await asyncio.gather(*(self.find(caller, task) for task in ids))
        return [record.task for record in records if record is not None]

    def watch(self, caller: str, task: str) -> Watch:
        """Follow the task's updates."""

        async def snapshot() -> tuple[a2a.Task, int]:
            record = await self.require_record(caller, task)
            return record.task, record.event

        return Watch(self._log, caller, task, snapshot)

    async def resume(self, record: TaskRecord) -> None:
        """Number on from the newest update: the run before this one may have sent some after its last snapshot."""
        record.event = max(record.event, await self._log.last_event(record.caller, record.task.id))

    async def save(
        self,
        record: TaskRecord,
        state: a2a.TaskState,
        *,
        message: a2a.Message | None = None,
        history: tuple[a2a.Message, ...] = (),
    ) -> None:
        """Move a task to `state`, adding to its history; then tell. The first time it makes the task.

        Raises:
            StaleTask: another instance was faster, or the task has ended already, or its id is taken.
            StorageFull: there is no room for a new task, or for more of this one within half a minute.
            Unavailable, UnknownOutcome: the server stayed away for longer than half a minute.
        """
        if record.task.is_final:
            raise StaleTask(f"task {record.task.id} has ended as {record.task.status.state}")
        status = a2a.TaskStatus(state=state, message=message, timestamp=rfc3339(self._now()))
        task = msgspec.structs.replace(record.task, status=status, history=record.task.history + history)
        await self._write(record, task)

    async def grow(self, record: TaskRecord, update: a2a.TaskArtifactUpdateEvent) -> None:
        """Tell of an artifact, or of more of one, at once; the snapshot has it with the next `save`."""
        record.task = msgspec.structs.replace(record.task, artifacts=_grown(record.task.artifacts, update))
        record.event += 1
        body = protojson.encode(a2a.StreamResponse(artifact_update=update))
        await self._log.append(record.caller, record.task.id, Update(record.event, body))

    async def amend(self, caller: str, task: str, change: Callable[[a2a.Task], a2a.Task]) -> a2a.Task:
        """Change a task that nobody runs; `change` gets the stored one, and may raise or give it back as it is.

        Raises:
            TaskNotFound: as `require_record`. Unavailable: it changed under our hands each time.
        """
        for _ in range(_TRIES):
            record = await self.require_record(caller, task)
            changed = change(record.task)
            if changed is record.task:
                return changed
            await self.resume(record)
            try:
                await self._write(record, changed)
            except StaleTask:
                continue
            return changed
        raise Unavailable(f"task {task} is being changed by others; try again", retry_after_s="1")

    async def settle(self) -> None:
        """Wait until all updates are stored."""
        await self._log.settle()

    def found(self, record: TaskRecord) -> None:
        """Say on the trail that a task was delivered again after its end: the event of that end may be lost."""
        self._tell("task.found", record)

    def stamp(self) -> str:
        """The time of a status."""
        return rfc3339(self._now())

    def _tell(self, kind: str, record: TaskRecord) -> None:
        state = record.task.status.state.removeprefix("TASK_STATE_").lower()
        self._audit.emit(kind, actor=record.caller, action=state, resource=f"{self._agent}/{record.task.id}")

    async def _write(self, record: TaskRecord, task: a2a.Task) -> None:
        event = record.event + 1
        headers = {names.EVENT: str(event), names.RUN: _DURABLE if record.is_durable else _UNATTENDED}
        headers |= retention.keeping(retention.of_task(task, is_durable=record.is_durable))
        record.revision = await self._put(record, protojson.encode(task), headers)
        record.task, record.event = task, event
        self._tell("task.changed", record)
        await self._log.append(record.caller, task.id, Update(event, status_update(task)))

    async def _put(self, record: TaskRecord, value: bytes, headers: dict[str, str]) -> int:
        """Write through an outage: a result in hand is worth waiting for, giving up means that the work is done twice."""

        async def put(is_unsure: bool) -> int:  # noqa: FBT001  as `through_outage` calls it
            try:
                return await self._bucket.put(record.key, value, revision=record.revision, headers=headers)
            except Overtaken as error:
                if is_unsure and await self._is_last(record.key, value, error.last):
                    return error.last  # it was stored at the try whose answer was lost
            raise StaleTask(f"task {record.task.id} was changed elsewhere")

        # room may come while a result is in hand; what is not begun yet is better refused at once
        return await through_outage(put, errors=(*AWAY, StorageFull) if record.revision else AWAY)

    async def _is_last(self, key: str, value: bytes, revision: int) -> bool:
        """Whether `value` is what the leader says is the last.

        Raises:
            Unavailable: a copy answered that has not heard of it yet; what it has may be ours, and overtaken since.
        """
        entry = await self._bucket.get(key)
        if (entry.revision if entry else 0) < revision:
            raise Unavailable(f"a copy of the tasks is behind {revision}", retry_after_s="1")
        return entry is not None and (entry.revision, entry.value) == (revision, value)


def _record(caller: str, entry: Entry) -> TaskRecord:
    return TaskRecord(
        caller,
        protojson.decode(entry.value, a2a.Task),
        revision=entry.revision,
        event=int(entry.headers.get(names.EVENT, "0")),
        is_durable=entry.headers.get(names.RUN) == _DURABLE,
    )


def _grown(artifacts: tuple[a2a.Artifact, ...], update: a2a.TaskArtifactUpdateEvent) -> tuple[a2a.Artifact, ...]:
    """The artifacts after an update: a new one, one in the place of another, or more of the same."""
    new = update.artifact
    known = {artifact.artifact_id: artifact for artifact in artifacts}
    if update.append and new.artifact_id in known:
        before = known[new.artifact_id]
        new = msgspec.structs.replace(before, parts=joined(before.parts + new.parts))
    known[new.artifact_id] = new
    return tuple(known.values())


def joined(parts: tuple[a2a.Part, ...]) -> tuple[a2a.Part, ...]:
    """The same content with neighbouring texts of one kind as one part."""
    found: list[a2a.Part] = []
    for part in parts:
        last = found[-1] if found else None
        if last is not None and isinstance(part.text, str) and isinstance(last.text, str) and _is_alike(last, part):
            found[-1] = msgspec.structs.replace(last, text=last.text + part.text)
        else:
            found.append(part)
    return tuple(found)


def _is_alike(one: a2a.Part, other: a2a.Part) -> bool:
    return (one.media_type, one.filename, one.metadata) == (other.media_type, other.filename, other.metadata)
