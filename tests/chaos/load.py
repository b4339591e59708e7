"""Callers that leave tasks and ask, without a pause, and count what they were promised and what came late."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from bus.jetstream import ApiError
from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import A2AError, DeadlineExceeded, TaskNotFound, Unavailable, UnknownOutcome
from tests.chaos.stage import AGENT
from tests.harness.agent import saying

_STORE_S = 5.0
_ASK_S = 3.0
_SLACK_S = 5.0
"""What a call may take beyond its own bound on a machine that is busy with faults."""
_PAUSE_S = 0.02
_LONGEST_MS = 150
"""The work of a task: long enough for faults to hit some in the middle."""
_PUT_OFF, _PUT_OFF_EVERY = timedelta(seconds=1), 4
"""One task in so many is not to be begun at once."""
_PATIENCE_S = 60.0
_REFUSALS = (Unavailable, DeadlineExceeded, UnknownOutcome, ApiError)
"""What a caller may see while something is broken."""


class Stuck(Exception):
    """Nothing moves any more, or a fault did not happen; the message says what was waited for."""


class Load:
    """The load of one scenario: tasks with keys, repeated with the same key until they are acknowledged."""

    def __init__(self, name: str, callers: list[Caller], chance: random.Random) -> None:
        self.acknowledged: dict[str, str] = {}
        """Task id to the name that its effect carries."""
        self.ends: dict[str, a2a.TaskStatus] = {}
        """Terminal state of each acknowledged task that reached one."""
        self.answers = 0
        self.hung = 0
        self.refusals: Counter[str] = Counter()
        self._name = name
        self.callers = callers
        self._chance = chance
        self._is_over = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._running = [asyncio.create_task(self._run(number, calls)) for number, calls in enumerate(self.callers)]

    async def stop(self) -> None:
        """Begin no more calls, and wait for those under way: each is bounded."""
        self._is_over.set()
        await asyncio.gather(*self._running)

    async def progress(self, count: int = 5) -> None:
        """Return when so many more tasks were acknowledged, and a request was answered.

        Raises:
            Stuck: they were not, in a minute.
        """
        tasks, answers = len(self.acknowledged) + count, self.answers
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while len(self.acknowledged) < tasks or self.answers == answers:
                    self._raise_what_ended()
                    await asyncio.sleep(0.01)
                return
        raise Stuck(f"no progress within {_PATIENCE_S:g} s; refused so far: {dict(self.refusals)}")

    def _raise_what_ended(self) -> None:
        for task in self._running:
            if task.done():
                task.result()

    async def _run(self, number: int, calls: Caller) -> None:
        count = 0
        while not self._is_over.is_set():
            name = f"{self._name}-{number}-{count}"
            text = f"{name} {self._chance.randrange(_LONGEST_MS)}"
            later = datetime.now(UTC) + _PUT_OFF if count % _PUT_OFF_EVERY == 0 else None
            left = calls.leave_task(AGENT, saying(text), key=name, not_before=later)
            task = await self._bounded(left, _STORE_S)
            if task is not None:
                self.acknowledged[task] = name
                count += 1
            if await self._bounded(calls.send_message(AGENT, saying("large 10"), timeout_s=_ASK_S), _ASK_S):
                self.answers += 1
            await asyncio.sleep(_PAUSE_S)

    async def _bounded[T](self, call: Awaitable[T], bound_s: float) -> T | None:
        """What the call gives; None when it was refused, or did not return within its bound, which is counted."""
        limit = asyncio.timeout(bound_s + _SLACK_S)
        try:
            async with limit:
                return await call
        except TimeoutError:
            if not limit.expired():
                raise
            self.hung += 1
        except _REFUSALS as error:
            self.refusals[error.reason if isinstance(error, A2AError) else type(error).__name__] += 1
        return None

    async def settle(self) -> None:
        """Ask for every acknowledged task until each has ended, or none has for a minute."""
        quiet = 0.0
        while len(self.ends) < len(self.acknowledged) and quiet < _PATIENCE_S:
            before = len(self.ends)
            left = iter([task for task in self.acknowledged if task not in self.ends])
            async with asyncio.TaskGroup() as group:
                for calls in self.callers:
                    group.create_task(self._look(calls, left))
            quiet = 0.0 if len(self.ends) > before else quiet + 0.5
            await asyncio.sleep(0.5 if quiet else 0)

    async def _look(self, calls: Caller, tasks: Iterator[str]) -> None:
        for task in tasks:
            with suppress(TaskNotFound):
                found = await self._bounded(calls.get_task(AGENT, task, timeout_s=_ASK_S), _ASK_S)
                if found is not None and found.is_final:
                    self.ends[task] = found.status
