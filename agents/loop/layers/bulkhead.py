"""Fourth: so many calls of models are under way at once, and as many of tools; the others queue, for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agents.loop.steps import ModelStep, Step
from bus.requests.flow import Bulkhead
from schemas.agent import BulkheadLimits


class BulkheadLayer:
    """Two bulkheads: a tool holds its place while it waits for others, and must not keep models from answering."""

    def __init__(self, limits: BulkheadLimits) -> None:
        self._models, self._tools = (
            Bulkhead(limits.max_concurrent, limits.max_queued, limits.queue_timeout_s) for _ in range(2)
        )

    async def around[T](self, step: Step, proceed: Callable[[], Awaitable[T]]) -> T:
        """See `Layer`.

        Raises:
            Unavailable: the queue is full, or the time in it was over.
        """
        bulkhead = self._models if isinstance(step, ModelStep) else self._tools
        with bulkhead.take() or await bulkhead.wait():
            return await proceed()
