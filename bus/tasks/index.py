"""What a list of tasks is chosen and ordered by, of each task of a caller, without reading the tasks again and again.

The stored tasks are read once for a caller, no further than their id, context and status; after that only what was
stored since, so a page costs what has changed and what it shows. It is kept in memory for the callers that asked last.

Guarantees: what was stored before a call is in its answer, whichever instance stored it.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections import OrderedDict
from typing import Final

import msgspec

from bus.audit.read import Reader, Record
from bus.connection import Connection
from schemas import names, subjects
from schemas.a2a import TaskState

_MOST_CALLERS: Final = 64
"""Callers whose tasks are kept in mind; of who is not among them everything is read again."""


class HeadStatus(msgspec.Struct, frozen=True):
    """Of a status what a list needs."""

    state: TaskState
    timestamp: str = ""


class TaskHead(msgspec.Struct, frozen=True, rename="camel"):
    """Of a stored task what a list needs; the rest of it is passed over."""

    id: str
    context_id: str
    status: HeadStatus


_HEAD = msgspec.json.Decoder(TaskHead)


class _Known:
    """The tasks of one caller as far as they were read. `expires_s` is when the server drops a task, by its id."""

    def __init__(self) -> None:
        self.heads: dict[str, TaskHead] = {}
        self.expires_s: dict[str, float] = {}
        self.position = 1
        self.reading = asyncio.Lock()

    def add(self, record: Record) -> None:
        head = _HEAD.decode(record.payload)
        self.heads[head.id] = head
        self.position = record.sequence + 1
        kept_s = record.headers.get(names.TTL, "")
        if kept_s.isdecimal():
            self.expires_s[head.id] = datetime.datetime.fromisoformat(record.time).timestamp() + int(kept_s)
        else:
            self.expires_s.pop(head.id, None)

    def forget_expired(self, now_s: float) -> None:
        for task in [task for task, at_s in self.expires_s.items() if at_s <= now_s]:
            del self.expires_s[task], self.heads[task]


class TaskIndex:
    """The heads of the tasks in the agent's bucket, by caller."""

    def __init__(self, own: Connection) -> None:
        self._own = own
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def of(self, caller: str) -> list[TaskHead]:
        """Of every task of `caller`, in no order; raises as `Reader.records`."""
        pattern = f"$KV.{names.TASK_BUCKET}.{subjects.require_token('caller', caller)}.*"
        known = self._known.setdefault(caller, _Known())
        self._known.move_to_end(caller)
        while len(self._known) > _MOST_CALLERS:
            self._known.popitem(last=False)
        async with known.reading:
            reader = Reader(self._own, stream=f"KV_{names.TASK_BUCKET}")
            async for record in reader.records(known.position, subject=pattern):
                known.add(record)
        known.forget_expired(time.time())
        return list(known.heads.values())
