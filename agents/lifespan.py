"""Work of an agent beside answering: opened before it takes requests, closed after it has answered the last.

    @lifespan
    async def listening(here: Here) -> AsyncIterator[None]:
        subscription = await here.heartbeats.listen(on_heard)
        yield
        await here.heartbeats.stop(subscription)

It stands in the handler's list beside the skills.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a check of an agent's files opens no connection, and is not to import what does
    from bus.discovery.agent_keys import AgentKeys
    from bus.discovery.heartbeat import Heartbeats
    from bus.requests.caller import Caller


__all__ = ["Here", "Lifespan", "lifespan"]


@dataclass(frozen=True, slots=True)
class Here:
    """What the work may use: the agent's identity on the bus, the public keys of the others, and nothing else."""

    agent: str
    calls: Caller
    heartbeats: Heartbeats
    keys: AgentKeys


@dataclass(frozen=True, slots=True)
class Lifespan:
    """What `open` enters is left when the agent ends; an error on entering keeps the agent from starting."""

    open: Callable[[Here], AbstractAsyncContextManager[None]]


def lifespan(function: Callable[[Here], AsyncIterator[None]]) -> Lifespan:
    """Make a lifespan of an async generator function that yields once."""
    return Lifespan(asynccontextmanager(function))
