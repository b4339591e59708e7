"""Where a worker takes its durable tasks from: the stream that callers leave them in, or those that were put off."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from bus.connection import Connection, Msg
from bus.inbound import Call, read_task
from bus.jetstream import Delivery, Puller, delivery_of
from schemas import names


class Taken(NamedTuple):
    """A task in a worker's hands. `message` is as its caller sent it, but for the reply subject, which belongs to
    `connection`; `delivery` has its sequence in TASKS and how often it was taken since it is due.
    """

    message: Msg
    delivery: Delivery
    connection: Connection
    is_due: bool = False

    def read(self) -> Call:
        """The task as a call; raises as `read_task`."""
        call = read_task(self.message)
        return msgspec.structs.replace(call, is_due=True) if self.is_due else call


class Source(Protocol):
    """Shared by all instances of an agent; each task goes to one of them."""

    async def pull(self, batch: int, *, wait_s: float) -> list[Taken]:
        """Up to `batch` tasks; raises as `Puller.pull`."""


class LeftTasks:
    """What callers left for `agent`: stream TASKS."""

    def __init__(self, agent: str, bus: Connection) -> None:
        self._bus = bus
        self._puller = Puller(bus, names.TASKS, agent)
        self.pending = 0
        """How many waited there when one was last asked for."""

    async def pull(self, batch: int, *, wait_s: float) -> list[Taken]:
        """See `Source`."""
        messages = await self._puller.pull(batch, wait_s=wait_s)
        taken = [Taken(message, delivery_of(message), self._bus) for message in messages]
        self.pending = taken[-1].delivery.pending if taken else 0
        return taken
