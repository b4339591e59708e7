"""What a scenario is: a fault that happens under load, proves that it did happen, and leaves everything in working order."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.load import Load
from tests.chaos.stage import Stage

ENOUGH_S = 30.0
"""Within this a fault is felt."""


@dataclass(frozen=True)
class Fault:
    """What a scenario works with. `amount` is how often the fault happens."""

    stage: Stage
    load: Load
    chance: random.Random
    amount: int

    def say(self, done: int) -> None:
        """Progress of a long scenario."""
        if done % 10 == 0 and done < self.amount:
            print(f"  {done} of {self.amount}, {len(self.load.acknowledged)} acknowledged", flush=True)


@dataclass(frozen=True)
class Scenario:
    """A fault, and how often it happens in a quick and in a full run; 0 for not at all."""

    name: str
    happen: Callable[[Fault], Awaitable[None]]
    quick: int
    full: int
