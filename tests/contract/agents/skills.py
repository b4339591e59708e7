"""Skills that tests serve: each does one thing that a good or a bad handler may do."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from agents.skill import Context, Skill, skill
from schemas import names

SECRET = "the password is hunter2"


@skill(description="Says the same again.")
async def echo(request: str, ctx: Context) -> str:
    return request


@skill(description="Fails with a text that nobody outside may read.")
async def failing(request: str, ctx: Context) -> str:
    raise ValueError(SECRET)


@skill(description="Lets a time-out of its own work escape.")
async def impatient(request: str, ctx: Context) -> str:
    raise TimeoutError(SECRET)


@skill(description="Gives something else than it declares.")
async def lying(request: str, ctx: Context) -> str:
    return 5  # type: ignore[return-value]  # the lie


@skill(description="Answers with more than a message may hold.")
async def endless(request: str, ctx: Context) -> str:
    return "x" * 2_000_000


@skill(description="Answers with more than a large part may hold.")
async def boundless(request: str, ctx: Context) -> str:
    return "x" * (names.MAX_PART_BYTES + 1)


@skill(description="Asks the greeter, whether it may or not.")
async def curious(request: str, ctx: Context) -> str:
    return await ctx.ask("greeter", request, timeout_s=0.5)


@dataclass(eq=False)
class Gate:
    """A skill that waits. `entered` and `left` hold the texts it was asked with, `cancelled` those cut short."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    entered: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    @property
    def skill(self) -> Skill:
        @skill(description="Waits until it is let go.", id="held")
        async def held(request: str, ctx: Context) -> str:
            self.entered.append(request)
            try:
                await self.opened.wait()
            except asyncio.CancelledError:
                self.cancelled.append(request)
                raise
            self.left.append(request)
            return request

        return held

    async def has_entered(self, count: int = 1) -> None:
        """Return when `count` requests are inside."""
        async with asyncio.timeout(40):
            while len(self.entered) < count:
                await asyncio.sleep(0.01)

    async def was_cancelled(self, count: int = 1) -> None:
        """Return when `count` requests were cut short."""
        async with asyncio.timeout(40):
            while len(self.cancelled) < count:
                await asyncio.sleep(0.01)


@dataclass(eq=False)
class Counting:
    """A skill with an effect: it counts how often each text was worked on."""

    runs: Counter[str] = field(default_factory=Counter)

    @property
    def skill(self) -> Skill:
        @skill(description="Counts how often it ran.", id="counted")
        async def counted(request: str, ctx: Context) -> str:
            self.runs[request] += 1
            return f"{request} done"

        return counted
