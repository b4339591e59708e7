"""How much of what arrives is taken on: so many of one caller a second, so many at once, so many waiting.

    buckets = Buckets(Rate(per_s=10, burst=20))
    buckets.take("ops", now_s)                # raises RateLimited
    with bulkhead.take() or await bulkhead.wait() as place:   # raises Unavailable
        begin(place.handed_on())              # the work goes on with the place; here it is left with

Guarantees: what is refused was not begun. Memory is bounded by the callers that asked within the last few seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from schemas.errors import RateLimited, Unavailable

_FORGET_ABOVE = 1024


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` requests a second on average, `burst` of them at once. `per_s` 0 is no limit."""

    per_s: float
    burst: int


UNLIMITED = Rate(0, 0)


class Buckets:
    """One token bucket a caller; a caller is the identity that the server enforced."""

    def __init__(self, rate: Rate, by_caller: Mapping[str, Rate] | None = None) -> None:
        self._rate = rate
        self._by_caller = by_caller or {}
        self._full_after: dict[str, float] = {}
        """When each caller's bucket is full again. Who is not here has a full one."""
        self._refused: dict[str, tuple[float, int]] = {}
        """When each caller's refusals were last told, and how many there were since."""

    def take(self, caller: str, now_s: float) -> None:
        """Take one token.

        Raises:
            RateLimited: there is none; says when there will be one.
        """
        rate = self._by_caller.get(caller, self._rate)
        if not rate.per_s:
            return
        full_after = max(self._full_after.get(caller, now_s), now_s) + 1 / rate.per_s
        early_s = full_after - now_s - rate.burst / rate.per_s
        if early_s > 1e-9:
            raise RateLimited(
                f"{caller} asks more than {rate.per_s:g} times a second ({rate.burst} at once)",
                retry_after_s=f"{early_s:.3f}",
            )
        self._full_after[caller] = full_after
        if len(self._full_after) > _FORGET_ABOVE:
            self._full_after = {name: at for name, at in self._full_after.items() if at > now_s}

    def refused(self, caller: str, now_s: float) -> int:
        """Count a refusal; returns how many are to be told now, 0 within a second of the last time.

        A trail that keeps everything for ever must not be filled by those who are refused.
        """
        told_at, count = self._refused.pop(caller, (-math.inf, 0))
        is_due = now_s - told_at >= 1
        self._refused[caller] = (now_s, 0) if is_due else (told_at, count + 1)
        if len(self._refused) > _FORGET_ABOVE:
            del self._refused[next(iter(self._refused))]
        return count + 1 if is_due else 0


class Place:
    """One place in a bulkhead: left once, by whoever holds it in the end. Use it as a context."""

    __slots__ = ("_bulkhead",)

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead: Bulkhead | None = bulkhead

    def handed_on(self) -> Place:
        """The same place for somebody else; leaving this one changes nothing from here on."""
        bulkhead, self._bulkhead = self._bulkhead, None
        if bulkhead is None:
            raise ValueError("the place was left, or handed on, before")
        return Place(bulkhead)

    def leave(self) -> None:
        """Give it to the next in the queue; once is enough, more is no mistake."""
        bulkhead, self._bulkhead = self._bulkhead, None
        if bulkhead is not None:
            bulkhead._leave()  # noqa: SLF001  one module

    def __enter__(self) -> Self:
        """Work."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()


class Bulkhead:
    """`running` places to work in, and a queue of `queued` before them in which nobody waits over `queue_s`."""

    def __init__(self, running: int, queued: int = 0, queue_s: float = 0) -> None:
        self._places = self._free = running
        self._longest_queue = queued
        self._queue_s = queue_s
        self._queue: deque[asyncio.Future[None]] = deque()
        self._patient: set[asyncio.Future[None]] = set()
        """Of those in the queue: who waits for its turn without a limit."""
        self.lent = 0
        """Places that are held only to look whether there is work for them: as many more may wait meanwhile."""

    @property
    def running(self) -> int:
        """Places that are taken."""
        return self._places - self._free

    @property
    def free(self) -> int:
        """Places that are not."""
        return self._free

    @property
    def queued(self) -> int:
        """How many wait for a place and may be refused one."""
        return len(self._queue) - len(self._patient)

    def take(self) -> Place | None:
        """A place, when one is free."""
        if self._free <= 0:
            return None
        self._free -= 1
        return Place(self)

    async def wait(self) -> Place:
        """A place when its turn has come, in the order of the requests.

        Raises:
            Unavailable: the queue is full, or the time in it was over.
        """
        if self.queued >= self._longest_queue + self.lent:
            raise Unavailable(
                f"all {self._places} places are taken, and {self.queued} wait already",
                retry_after_s="1", nothing_begun="true",
            )  # fmt: skip
        try:
            async with asyncio.timeout(self._queue_s):
                return await self._queueing()
        except TimeoutError:
            raise Unavailable(
                f"no place was free within {self._queue_s:g} s", retry_after_s="5", nothing_begun="true"
            ) from None

    async def turn(self) -> Place:
        """A place when its turn has come, however long that takes: for work that waits safely where it is."""
        if place := self.take():
            return place
        return await self._queueing(is_patient=True)

    async def _queueing(self, *, is_patient: bool = False) -> Place:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        if is_patient:
            self._patient.add(turn)
        has_entered = False
        try:
            await turn
            has_entered = True
        finally:
            if not has_entered:
                self._give_up(turn)
        return Place(self)

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn in self._queue:
            self._queue.remove(turn)
            self._patient.discard(turn)
        elif turn.done() and not turn.cancelled():
            self._leave()  # it was given in the same moment

    def _leave(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            self._patient.discard(turn)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is taken on at once, and for how long at most."""

    max_concurrent: int = 100
    max_queued: int = 1000
    max_streams: int = 1000
    timeout_s: float = 300.0
    queue_timeout_s: float = 30.0
    rate: Rate = UNLIMITED
    """Of one caller, for what makes work: sending messages. Looking at tasks and canceling them are free."""
    rate_of: Mapping[str, Rate] = field(default_factory=dict)
    """In place of `rate`, by caller."""


class Places:
    """Where everything that one instance does finds room.

    `work` bounds all that handlers do: requests, runs in the background and of streams, durable tasks. `tasks` is the
    part of it that durable tasks may have: they wait safely in their stream, so a quarter is left to those who wait
    for an answer. `desk` bounds the rest: looking at tasks, canceling them, handing them a message. It is apart,
    since a cancel that waited behind the work that it is to end would never come. `waits` bounds requests that
    follow a task that runs elsewhere.
    """

    def __init__(self, bounds: Bounds) -> None:
        running, queued, queue_s = bounds.max_concurrent, bounds.max_queued, bounds.queue_timeout_s
        self.work = Bulkhead(running, queued, queue_s)
        self.tasks = Bulkhead(running - running // 4)
        self.desk = Bulkhead(running, queued, queue_s)
        self.waits = Bulkhead(bounds.max_streams)

    @property
    def running(self) -> int:
        """How much is at work."""
        return self.work.running + self.desk.running

    @property
    def queued(self) -> int:
        """How many requests wait for a place."""
        return self.work.queued + self.desk.queued
