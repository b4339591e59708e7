"""Third: one caller's conversations make so many calls a second. What is too fast waits its turn, if there is time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from agents.loop.steps import Step
from schemas.agent import RateLimit
from schemas.errors import RateLimited

_FORGET_ABOVE = 1024
Sleep = Callable[[float], Awaitable[None]]


class Pace:
    """A bucket of tokens for each key, which may be in debt: who takes a token that is not there yet has to wait."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._per_s = per_second
        self._burst_s = burst / per_second if per_second else 0.0
        self._full_after: dict[str, float] = {}
        """When each key's bucket is full again. What is not here has a full one."""

    def take(self, key: str, now_s: float, most_s: float) -> float:
        """Take one token; returns for how long it is not there yet. None is taken where that is over `most_s`."""
        if not self._per_s:
            return 0.0
        full_after = max(self._full_after.get(key, now_s), now_s) + 1 / self._per_s
        early_s = max(0.0, full_after - now_s - self._burst_s)
        if early_s <= most_s:
            self._full_after[key] = full_after
            if len(self._full_after) > _FORGET_ABOVE:
                self._full_after = {name: at for name, at in self._full_after.items() if at > now_s}
        return early_s


class RateLimitLayer:
    """Keeps calls of one kind by one caller apart."""

    def __init__(
        self, limits: RateLimit, now: Callable[[], float] = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._limits = limits
        self._pace = Pace(limits.burst, limits.per_second)
        self._now, self._sleep = now, sleep

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Layer`.

        Raises:
            RateLimited: its turn would come after the deadline.
        """
        context = step.context
        most_s = context.remaining_s(float("inf"))
        wait_s = self._pace.take(f"{context.caller} {step.key}", self._now(), most_s)
        if wait_s > most_s:
            raise RateLimited(
                f"{step.key} is called more than {self._limits.per_second:g} times a second for {context.caller}, "
                "and there is no time to wait",
                retry_after_s=f"{wait_s:.3f}",
            )
        if wait_s:
            await self._sleep(wait_s)
        return await proceed()
