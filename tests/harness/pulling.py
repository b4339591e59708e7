"""Taking messages from a consumer until there are enough: one pull returns at the first quiet moment."""

from __future__ import annotations

from bus.jetstream import Puller
from bus.wire import Msg
from tests.harness.fleet import until


async def pull_some(puller: Puller, count: int) -> list[Msg]:
    """So many messages, in order, by as many pulls as that takes."""
    pulled: list[Msg] = []

    async def are_enough() -> bool:
        pulled.extend(await puller.pull(count - len(pulled), wait_s=1))
        return len(pulled) == count

    await until(are_enough)
    return pulled
