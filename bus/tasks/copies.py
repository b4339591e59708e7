"""Copies of the updates of an agent's tasks in stream EVENTS, for those who watch all agents.

Guarantees: the copies of a task are stored in the order of its updates, each once, through an outage of up to half a
minute. Not guaranteed: that one is there for which EVENTS stayed away longer, which the log tells; the number of an
update (`Agentbus-Event`) shows the gap, and the task itself has what the updates add up to.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Final, NamedTuple

import structlog

from bus.background import Background
from bus.connection import Connection
from bus.jetstream import ApiError, store
from bus.outage import through_outage
from schemas import a2a, names, protojson, subjects
from schemas.errors import A2AError, UnknownOutcome

_log = structlog.get_logger("bus")
_MOST_WAITING: Final = 1024
"""Copies of this process that may wait for those before them."""


class Update(NamedTuple):
    """One update of a task: `event` is its number, `body` a StreamResponse in ProtoJSON."""

    event: int
    body: bytes

    @property
    def is_end(self) -> bool:
        """Whether with it the task ended, or began to wait for somebody."""
        response = protojson.decode(self.body, a2a.StreamResponse)
        state = response.status_update.status.state if response.status_update else ""
        return state in a2a.TERMINAL or state in a2a.INTERRUPTED


def headers_of(update: Update) -> dict[str, str]:
    """What an update is stored with, wherever."""
    return {names.A2A_VERSION: a2a.PROTOCOL_VERSION, names.EVENT: str(update.event)}


async def store_patiently(connection: Connection, subject: str, update: Update, headers: dict[str, str]) -> None:
    """Store an update through an outage; the message id in `headers` makes it once. After half a minute the log tells.

    The snapshot is what counts and is stored: who misses an update finds the state there.
    """
    try:
        await through_outage(
            lambda _: store(connection, subject, update.body, headers=headers), errors=(A2AError, UnknownOutcome)
        )
    except (ApiError, A2AError, UnknownOutcome) as error:
        _log.warning("task.event_lost", subject=subject, event=update.event, reason=str(error))


class TaskCopies:
    """One row of copies a task: the next is sent when the one before it is stored."""

    def __init__(self, agent: str, bus: Connection) -> None:
        self._agent = agent
        self._bus = bus
        self._rows: dict[str, deque[Update]] = {}
        """By subject; a task has one while copies of it wait."""
        self._places = asyncio.Semaphore(_MOST_WAITING)
        self._sending = Background()

    async def append(self, caller: str, task: str, update: Update) -> None:
        """Put the next copy of a task in its row; waits only while too many wait in all rows."""
        await self._places.acquire()
        subject = str(subjects.TaskEvent(self._agent, caller, task))
        row = self._rows.get(subject)
        if row is not None:
            row.append(update)
            return
        self._rows[subject] = deque([update])
        self._sending.begin(self._send(subject))

    async def settle(self) -> None:
        """Wait until every copy is stored, or was given up."""
        await self._sending.settle()

    async def _send(self, subject: str) -> None:
        row = self._rows[subject]
        try:
            while row:
                update = row.popleft()
                # The stream is shared: an id that another agent could guess would let it suppress this copy.
                headers = headers_of(update) | {names.MSG_ID: os.urandom(16).hex()}
                try:
                    await store_patiently(self._bus, subject, update, headers)
                finally:
                    self._places.release()
        finally:
            del self._rows[subject]
