"""The order in which everything stands around a call. It is fixed: no setting changes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from agents.loop.steps import Layer, Step
from bus.audit.emit import Audit
from schemas.agent import Resilience

from .audit import AuditLayer
from .breaker import BreakerLayer
from .bulkhead import BulkheadLayer
from .rate_limit import RateLimitLayer
from .security import SecurityLayer
from .timeout import TimeoutLayer

Make = Callable[[Resilience, Audit], Layer]
ORDER: Final[tuple[Make, ...]] = (
    lambda _, audit: AuditLayer(audit),
    lambda *_: SecurityLayer(),
    lambda limits, _: RateLimitLayer(limits.rate_limit),
    lambda limits, _: BulkheadLayer(limits.bulkhead),
    lambda limits, audit: BreakerLayer(limits.breaker, audit),
    lambda limits, _: TimeoutLayer(limits),
)
"""From the outermost to the innermost."""
_JUDGING: Final = 2
"""The first of them judge a call and tell of it; the others stand around what it calls."""


def layers_of(limits: Resilience, audit: Audit) -> tuple[Layer, ...]:
    """All of them, for one agent's process: they remember what was called before."""
    return tuple(make(limits, audit) for make in ORDER)


def judging(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Those of `layers` that a call goes through which calls nothing: it is answered from what is known."""
    return layers[:_JUDGING]


async def within[T](layers: tuple[Layer, ...], step: Step, call: Callable[[], Awaitable[T]]) -> T:
    """Make `call` inside of all layers."""
    for layer in reversed(layers):
        call = partial(layer.around, step, call)
    return await call()
