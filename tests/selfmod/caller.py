"""A caller who asks one agent again and again: since when is which change answered, and when did nobody answer?"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import A2AError

_EVERY_S = 0.02
_CHANGE = re.compile(r"change (\S+) heard")


@dataclass
class Watcher:
    """Begin it with `start`, end it with `stop`; `began` is when each change was heard first."""

    caller: Caller
    agent: str
    began: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    longest_gap_s: float = 0.0
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask until told to stop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ask no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        message = a2a.Message(message_id="watch", role="ROLE_USER", parts=(a2a.Part(text="hello"),))
        last = time.monotonic()
        while True:
            try:
                answer = await self.caller.send_message(
                    self.agent, a2a.SendMessageRequest(message=message), timeout_s=5
                )
            except A2AError:
                self.failures += 1
            else:
                now = time.monotonic()
                self.longest_gap_s, last = max(self.longest_gap_s, now - last), now
                found = _CHANGE.search(answer.message.text()) if answer.message else None
                if found:
                    self.began.setdefault(found[1], now)
            await asyncio.sleep(_EVERY_S)
