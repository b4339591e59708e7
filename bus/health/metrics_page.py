"""The page of numbers: `/metrics`."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from bus.health.http import Answer, Asked
from bus.health.numbers import Numbers

if TYPE_CHECKING:
    from bus.health.exposition import Exposition


class MetricsPage:
    """Tells `numbers` as those of `process`, and of `agent` where it is one."""

    def __init__(self, numbers: Numbers, agent: str, process: str) -> None:
        self._numbers = numbers
        self._who = (agent, process)
        self._exposition: Exposition | None = None

    async def answer(self, asked: Asked) -> Answer:
        """See `Page`."""
        if self._exposition is None:
            # in a thread: an import takes a tenth of a second, in which the loop would stand still
            module = await asyncio.to_thread(import_module, "bus.health.exposition")
            self._exposition = self._exposition or module.Exposition(self._numbers, *self._who)
        body, media_type = self._exposition.written(asked.accept)
        return Answer(200, body, media_type)
