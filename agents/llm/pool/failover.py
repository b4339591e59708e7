"""How a pool deals with failures: the breakers' settings, the clock, and who is told."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from agents.llm.errors import LlmError
from schemas.agent import Breaker, ModelChoice

from .circuit import Circuit, State
from .rules import LONGEST_WAIT_S, RULES

BACKOFF_S: Final = 0.5
OnBreaker = Callable[[str, State, str], None]
"""Told the `provider/model`, the new state of its breaker, and the cause."""

Account = tuple[str, str | None, str | None, str]
"""Provider, reference of the key, address, model."""


def _nobody(_where: str, _state: State, _cause: str) -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, so that tests have their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    random: Callable[[], float] = random.random
    """From 0 to 1."""


@dataclass(frozen=True, slots=True)
class Failover:
    """The settings. `on_breaker` must neither block nor raise."""

    breaker: Breaker = field(default_factory=Breaker)
    clock: Clock = field(default_factory=Clock)
    on_breaker: OnBreaker = _nobody
    probe_every_s: float = 10.0
    """While a model that was away is left alone, and somebody wants it: how often its provider is looked at."""

    def circuit_of(self, choice: ModelChoice, others: dict[Account, Circuit]) -> Circuit:
        """The breaker of this model at this account: that of `others` where one of them is for the same."""
        account = (choice.provider, choice.api_key, choice.base_url, choice.model)
        where = f"{choice.provider}/{choice.model}"
        if account not in others:
            others[account] = Circuit(
                self.breaker, self.clock.now, lambda state, cause: self.on_breaker(where, state, cause)
            )
        return others[account]

    def wait_s(self, error: LlmError, tries: int, left_s: float) -> float | None:
        """How long to wait before the same model is asked again after `tries` failures; None: not at all.

        As long as the provider asks for, else a random part of a time that doubles with each try. Callers that
        failed at the same moment thus do not come back at the same moment.
        """
        if tries > RULES[error.cause].tries_again:
            return None
        stated_s = error.retry_after_s
        wait_s = stated_s if stated_s is not None else BACKOFF_S * 2 ** (tries - 1) * self.clock.random()
        return wait_s if wait_s <= LONGEST_WAIT_S and wait_s < left_s else None
