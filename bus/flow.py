"""How much of what arrives is taken on: so many of one caller a second, so many at once, so many waiting.

    buckets = Buckets(Rate(per_s=10, burst=20))
    buckets.take("ops", now_s)                # raises RateLimited
    with (await bulkhead.enter()): ...        # raises Unavailable

Guarantees: what is refused was not begun. Memory is bounded by the callers that asked within the last few seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from schemas.errors import RateLimited, Unavailable

_FORGET_ABOVE = 1024


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` requests a second on average, `burst` of them at once. `per_s` 0 is no limit."""

    per_s: float
    burst: int


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


class Bulkhead:
    """`running` places to work in, and a queue of `queued` before them in which nobody waits over `queue_s`."""

    def __init__(self, running: int, queued: int, queue_s: float) -> None:
        self._places = self._free = running
        self._longest_queue = queued
        self._queue_s = queue_s
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def running(self) -> int:
        """Places that are taken."""
        return self._places - self._free

    @property
    def queued(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    async def enter(self) -> Bulkhead:
        """A place to work in: use it as a context. Places are given in the order of the requests.

        Raises:
            Unavailable: the queue is full, or the time in it was over.
        """
        if self._free > 0:
            self._free -= 1
            return self
        if len(self._queue) >= self._longest_queue:
            raise Unavailable(f"{self._longest_queue} requests wait already", retry_after_s="1")
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        has_entered = False
        try:
            async with asyncio.timeout(self._queue_s):
                await place
            has_entered = True
        except TimeoutError:
            raise Unavailable(f"no place was free within {self._queue_s:g} s", retry_after_s="5") from None
        finally:
            if not has_entered:
                self._give_up(place)
        return self

    def _give_up(self, place: asyncio.Future[None]) -> None:
        if place in self._queue:
            self._queue.remove(place)
        elif place.done() and not place.cancelled():
            self._leave()  # it was given in the same moment

    def __enter__(self) -> None:
        """Work."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leave()

    def _leave(self) -> None:
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
