"""Asking several agents at once: all of them, with failures as values, or until the first answers.

Behind `Context.gather` and `Context.ask_any`. What is left of the budget is split among the requests before the
first is sent, so that together they never spend more than there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from agents.asking import Ask
from agents.routing.errors import NobodyAnswered
from bus.requests import spending
from schemas.errors import A2AError, InvalidArgument

AskOne = Callable[[Ask], Awaitable[Any]]
MOST_AT_ONCE = 64


class First(NamedTuple):
    """The first answer, and whose it is."""

    agent: str
    answer: Any


async def gather(ask: AskOne, asks: Sequence[Ask], *, at_once: int) -> list[Any]:
    """Every answer, in the order of `asks`; where one failed, its A2AError stands in its place.

    What is no A2AError is a defect: it ends the others and is raised.
    """
    _require_few(at_once)
    places = asyncio.Semaphore(at_once)
    share = _share(asks)

    async def one(wanted: Ask) -> Any:
        async with places:
            try:
                return await _within(ask, wanted, share)
            except A2AError as error:
                return error

    running = [asyncio.create_task(one(wanted)) for wanted in asks]
    try:
        return list(await asyncio.gather(*running))
    finally:
        await _end(running)


async def first_of(ask: AskOne, asks: Sequence[Ask]) -> First:
    """The answer that comes first; nobody waits for the others, which may have acted.

    Raises:
        NobodyAnswered: each one failed; it lists why. InvalidArgument: nobody is to be asked.
    """
    if not asks:
        raise InvalidArgument("ask_any needs somebody to ask")
    _require_few(len(asks))
    share = _share(asks)
    running = {asyncio.create_task(_within(ask, wanted, share)): wanted for wanted in asks}
    failures: dict[str, A2AError] = {}
    waiting = set(running)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=list(running).index):
                error = task.exception()
                if error is None:
                    return First(running[task].agent, task.result())
                if not isinstance(error, A2AError):
                    raise error
                failures[running[task].agent] = error
    finally:
        await _end(running)
    raise NobodyAnswered(failures)


async def _end(running: Iterable[asyncio.Task[Any]]) -> None:
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _within(ask: AskOne, wanted: Ask, share: Decimal | None) -> Any:
    with spending.allotted(share if wanted.budget_usd is None else wanted.budget_usd):
        return await ask(wanted)


def _share(asks: Sequence[Ask]) -> Decimal | None:
    """An equal part of what those leave that name an amount of their own; None without a limit."""
    account = spending.current()
    left = account.purse.left if account else None
    named = [ask.budget_usd for ask in asks if ask.budget_usd is not None]
    if left is None or len(named) == len(asks):
        return None
    return max(left - sum(named), Decimal(0)) / (len(asks) - len(named))


def _require_few(count: int) -> None:
    if not 0 < count <= MOST_AT_ONCE:
        raise InvalidArgument(f"from 1 to {MOST_AT_ONCE} agents may be asked at once")
