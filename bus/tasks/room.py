"""Waits, when the agent's bucket of tasks is full, until there is room again: no task is taken that could not be recorded.

A task that is given back for want of room is delivered again, and a task is given up after so many deliveries; so
nothing is taken before the bucket has a twentieth of its room free.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from bus.connection import Connection
from bus.jetstream import call
from schemas import names
from schemas.errors import AgentbusError

_log = structlog.get_logger("bus")
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 60.0
_ENOUGH: Final = 0.95


class TaskRoom:
    """One per instance; `own` is the connection to the agent's account."""

    def __init__(self, own: Connection) -> None:
        self._own = own
        self._is_full = False

    def ran_out(self, reason: str) -> None:
        """A task could not be recorded."""
        if not self._is_full:
            _log.error("task.storage_full", reason=reason)
        self._is_full = True

    async def wait(self) -> None:
        """Return when there is room, at once as far as is known; looks after pauses that double up to a minute."""
        pause_s = _FIRST_S
        while self._is_full:
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_S, 2 * pause_s)
            if self._is_full and await self._has_room():
                self._is_full = False
                _log.info("task.storage_has_room")

    async def _has_room(self) -> bool:
        try:
            info = await call(self._own, f"STREAM.INFO.KV_{names.TASK_BUCKET}")
        except AgentbusError:
            return False
        return int(info["state"]["bytes"]) < _ENOUGH * int(info["config"]["max_bytes"])
