"""Whether the streams that a process stands on are as provisioned: asked of the server again and again.

Looked at are the settings that this version gives them, but not sizes and copies, which the fleet file decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bus.connection import Connection
from bus.health.checks import OK, Finding
from bus.jetstream import found_or_none
from schemas.errors import AgentbusError

EVERY_S: Final = 15.0
_ASK_S: Final = 5.0
_OF_THE_FLEET: Final = frozenset({"max_bytes", "num_replicas"})
_AGAIN: Final = "run: agentbus provision"


class StreamsCheck:
    """Of the streams with these configurations, in the account of `connection`."""

    def __init__(
        self, connection: Connection, configurations: Sequence[Mapping[str, Any]], *, every_s: float = EVERY_S
    ) -> None:
        self._connection = connection
        self._wanted = configurations
        self._every_s = every_s
        self._found = Finding("failed", "the streams were not looked at yet")

    def check(self) -> Finding:
        """What the last look found."""
        return self._found

    async def run(self) -> None:
        """Look until cancelled. While the server does not answer, the last finding stays: another check has that."""
        while True:
            if self._connection.is_connected:
                await self.look()
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Look now."""
        try:
            problems = [problem for wanted in self._wanted if (problem := await self._problem(wanted))]
        except AgentbusError as error:
            if self._found.state != "failed":
                self._found = Finding("degraded", f"the streams cannot be looked at: {type(error).__name__}")
            return
        self._found = Finding("failed", "; ".join(problems)) if problems else OK

    async def _problem(self, wanted: Mapping[str, Any]) -> str:
        name = str(wanted["name"])
        info = await found_or_none(self._connection, f"STREAM.INFO.{name}")
        if info is None:
            return f"stream {name} does not exist; {_AGAIN}"
        found = info["config"]
        changed = [
            key for key, value in wanted.items() if key not in _OF_THE_FLEET and found.get(key, type(value)()) != value
        ]
        return (
            f"stream {name} has another {', '.join(changed)} than this version provisions; {_AGAIN}" if changed else ""
        )
