"""The updates of an agent's tasks: numbered per task, stored, and read by subscribers that come late or come back.

One run writes a task's updates at a time, so their numbers are 1, 2, 3 … without a gap; a reader puts them
in order, drops what it has, and reads the stream again after a silence. Copies go to stream EVENTS
for those who watch all agents (`bus.tasks.copies`).

Guarantees: every subscriber of a task sees the same updates in the same order. Not guaranteed: that the
updates of more than a week ago, or beyond the last 10,000 of a task, are still there; the snapshot is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

import structlog

from bus.audit.read import Reader
from bus.background import Background
from bus.connection import Connection, Msg
from bus.tasks.copies import TaskCopies, Update, headers_of, store_patiently
from schemas import a2a, names, protojson, subjects
from schemas.errors import AgentbusError
from schemas.usage import USAGE_KEY

_log = structlog.get_logger("bus")
_WINDOW = 64
"""Updates of this process that may be on their way to the stream."""
_LOOK_AGAIN_S = 5.0
"""A subscriber that heard nothing for so long looks whether the task has ended without telling."""


class TaskLog:
    """The updates of one agent's tasks. `own` is the agent's account, `bus` the one that agents share."""

    def __init__(self, agent: str, own: Connection, bus: Connection) -> None:
        self._own = own
        self._copies = TaskCopies(agent, bus)
        self._places = asyncio.Semaphore(_WINDOW)
        self._sending = Background()

    async def append(self, caller: str, task: str, update: Update) -> None:
        """Send an update on its way, in the order of the calls; waits only while too many are on their way."""
        await self._copies.append(caller, task, update)
        await self._places.acquire()
        self._sending.begin(self._store(caller, task, update)).add_done_callback(lambda _: self._places.release())

    async def settle(self) -> None:
        """Wait until everything that was appended is stored, or was given up."""
        await asyncio.gather(self._sending.settle(), self._copies.settle())

    async def last_event(self, caller: str, task: str) -> int:
        """The number of the task's newest update, 0 when there is none."""
        subject = subjects.TaskUpdate(caller, task)
        answer = await self._own.request(f"$JS.API.DIRECT.GET.{names.TASK_LOG}.{subject}", timeout_s=5)
        return int(answer.headers.get(names.EVENT, "0"))

    async def stored(self, caller: str, task: str, after: int) -> list[Update]:
        """The stored updates after number `after`, in order."""
        pattern = str(subjects.TaskUpdate(caller, task))
        found: dict[int, Update] = {}
        async for record in Reader(self._own, stream=names.TASK_LOG).records(subject=pattern):
            event = int(record.headers.get(names.EVENT, "0"))
            if event > after:
                found.setdefault(event, Update(event, record.payload))
        return [found[event] for event in sorted(found)]

    async def _store(self, caller: str, task: str, update: Update) -> None:
        subject = str(subjects.TaskUpdate(caller, task))
        headers = headers_of(update) | {names.MSG_ID: f"{caller}.{task}.{update.event}"}
        await store_patiently(self._own, subject, update, headers)


Snapshot = Callable[[], Awaitable[tuple[a2a.Task, int]]]
"""The task as it is stored, and the number of the update that it includes."""


class Watch:
    """Follows one task from after update `after`. Use it as a context; `updates` ends with the task."""

    def __init__(self, log: TaskLog, caller: str, task: str, snapshot: Snapshot) -> None:
        self._log = log
        self._caller = caller
        self._task = task
        self._snapshot = snapshot
        self._arrived: asyncio.Queue[Update] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        own, subject = self._log._own, str(subjects.TaskUpdate(self._caller, self._task))  # noqa: SLF001  one module
        self._subscription = await own.subscribe(subject, self._take)
        await own.flush()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._log._own.forget(self._subscription)  # noqa: SLF001

    def _take(self, message: Msg) -> None:
        event = (message.headers).get(names.EVENT, "")
        if event.isdecimal():
            self._arrived.put_nowait(Update(int(event), message.data))

    async def updates(self, after: int) -> AsyncIterator[Update]:
        """Every update after `after`, in order; ends after the one with which the task ends or waits.

        Raises:
            TaskNotFound: there is no such task.
        """
        waiting = {update.event: update for update in await self._log.stored(self._caller, self._task, after)}
        task, event = await self._snapshot()
        if not waiting and event <= after and _is_over(task):
            return  # the subscriber has everything already
        seen = after
        while True:
            while (update := waiting.pop(seen + 1, None)) is not None:
                seen = update.event
                yield update
                if update.is_end and not waiting:
                    return
            if await self._is_quiet(waiting):
                kept = {update.event: update for update in await self._missed(seen)}
                waiting |= kept
                if kept and seen + 1 not in waiting:
                    seen = min(waiting) - 1  # what lies between is not kept any more
            waiting = {event: update for event, update in waiting.items() if event > seen}

    async def _is_quiet(self, waiting: dict[int, Update]) -> bool:
        """Put the next update to those `waiting`; whether none came for a while."""
        try:
            async with asyncio.timeout(_LOOK_AGAIN_S):
                arrived = await self._arrived.get()
        except TimeoutError:
            return True
        waiting.setdefault(arrived.event, arrived)
        return False

    async def _missed(self, seen: int) -> list[Update]:
        """What the stream holds after `seen`; the state itself where its update was never stored."""
        try:
            missed = await self._log.stored(self._caller, self._task, seen)
            task, event = await self._snapshot()
        except AgentbusError as error:
            _log.warning("task.watch_waits", task=self._task, reason=str(error))
            return []
        if missed or event <= seen or not _is_over(task):
            return missed
        return [Update(seen + 1, status_update(task))]


def _is_over(task: a2a.Task) -> bool:
    return task.is_final or task.status.state in a2a.INTERRUPTED


def status_update(task: a2a.Task) -> bytes:
    """The update that tells a task's present status; its cost too, where it has ended or waits."""
    told: a2a.JsonObject = {
        key: task.metadata[key] for key in (USAGE_KEY, names.MEMORY_KEY) if key in task.metadata and _is_over(task)
    }
    update = a2a.TaskStatusUpdateEvent(task_id=task.id, context_id=task.context_id, status=task.status, metadata=told)
    return protojson.encode(a2a.StreamResponse(status_update=update))
