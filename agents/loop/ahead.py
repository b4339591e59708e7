"""Calls of one turn that may run at the same time: begun together, told one after the other in the model's order.

Only calls that follow each other directly are begun together: what stands between two of them may depend on the
first, and the second on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import takewhile

from agents.llm import ToolCall, ToolResult

RunCall = Callable[[ToolCall], Awaitable[ToolResult]]


class Ahead:
    """`at_once` is how many calls may run at the same time, by the tool's name; of others one. Close it at the end."""

    def __init__(self, run: RunCall, at_once: Mapping[str, int]) -> None:
        self._run = run
        self._places = {name: asyncio.Semaphore(count) for name, count in at_once.items()}
        self._begun: dict[int, asyncio.Task[ToolResult]] = {}
        """By the identity of the call: nothing keeps a model from giving two of them one id."""

    async def result(self, call: ToolCall, behind: Iterable[ToolCall]) -> ToolResult:
        """What came of `call`; those `behind` it that may run at the same time are begun with it."""
        if call.name not in self._places:
            return await self._run(call)
        if id(call) not in self._begun:
            for one in (call, *takewhile(lambda other: other.name in self._places, behind)):
                self._begun[id(one)] = asyncio.create_task(self._in_place(one))
        running = self._begun[id(call)]
        result = await running
        del self._begun[id(call)]
        return result

    async def close(self) -> None:
        """Stop what still runs."""
        running = tuple(self._begun.values())
        self._begun.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _in_place(self, call: ToolCall) -> ToolResult:
        async with self._places[call.name]:
            return await self._run(call)
