"""Marks of tasks that an agent must take up again by itself: in the bucket of its tasks, under a key that no task has.

A caller's token begins with a lower-case letter or a digit, so nobody's task is under `MARKED`. Guarantees: a mark
that `put` returned for is found by every instance until it is dropped. Not guaranteed: that a marked task still
waits; whoever finds a mark looks at the task.
"""

from __future__ import annotations

from typing import Final

from bus.audit.read import Reader
from bus.connection import Connection
from bus.jetstream import store
from bus.outage import through_outage
from bus.tasks import retention
from schemas import names

_PLACE: Final = f"$KV.{names.TASK_BUCKET}.MARKED"


class TaskMarks:
    """One per instance, on the connection to the agent's own account. Raises as `bus.jetstream.store`."""

    def __init__(self, own: Connection) -> None:
        self._own = own

    async def put(self, caller: str, task: str) -> None:
        """Mark a task; marking it again changes nothing."""
        subject = f"{_PLACE}.{caller}.{task}"
        headers = retention.keeping(retention.OPEN_S)
        await through_outage(lambda _: store(self._own, subject, b"{}", headers=headers))

    async def drop(self, caller: str, task: str) -> None:
        """Take the mark away. Source: ADR-8, delete markers."""
        headers = {"KV-Operation": "DEL"} | retention.keeping(retention.TOMBSTONE_S)
        await store(self._own, f"{_PLACE}.{caller}.{task}", b"", headers=headers)

    async def all(self) -> list[tuple[str, str]]:
        """(caller, task) of every mark; one question to the server where there is none."""
        reader = Reader(self._own, stream=f"KV_{names.TASK_BUCKET}")
        found = [record.subject async for record in reader.records(subject=f"{_PLACE}.>") if record.payload]
        return [(caller, task) for caller, task in (subject.split(".")[-2:] for subject in found)]
