"""What becomes of each cause of a failure: the one table of retries and breakers.

    cause      same model again         its breaker                                     then
    auth       no                       open until the process starts anew              the next model
    model      no                       open until the process starts anew              the next model
    quota      no                       open until the stated date, else for an hour    the next model
    rate       once, if asked to wait   open for Retry-After, else for 5 s; then closed  the next model
               for 2 s at most
    overload   once                     counts                                          the next model
    network    once                     counts                                          the next model
    answer     once                     counts                                          the next model
    timeout    no: its time is over     counts                                          the next model
    policy     no                       says nothing of the model                       the next model
    budget     no: nothing was sent     says nothing of the model                       the next model
    context    no                       says nothing of the model                       a model with a larger window,
                                                                                        where the caller cannot compact
    malformed  no                       says nothing of the model                       the error

"Counts": after `llm.breaker.failures` in a row it is open for `open_s`, or until the provider answers a
probe; then half-open, one call at a time, and closed after `successes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from agents.llm.errors import Cause

LONGEST_WAIT_S: Final = 2.0
"""A caller waits no longer than this for the same model; another one is faster."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table. `open_s` stands where the provider does not say how long."""

    tries_again: int = 0
    breaker: Literal["nothing", "counts", "opens"] = "nothing"
    open_s: float = 0.0
    is_tried_carefully: bool = True
    """Half-open when its time is over, not closed."""


RULES: Final[dict[Cause, Rule]] = {
    "auth": Rule(breaker="opens", open_s=math.inf),
    "model": Rule(breaker="opens", open_s=math.inf),
    "quota": Rule(breaker="opens", open_s=3600.0),
    "rate": Rule(tries_again=1, breaker="opens", open_s=5.0, is_tried_carefully=False),
    "overload": Rule(tries_again=1, breaker="counts"),
    "network": Rule(tries_again=1, breaker="counts"),
    "answer": Rule(tries_again=1, breaker="counts"),
    "timeout": Rule(breaker="counts"),
    "policy": Rule(),
    "budget": Rule(),
    "context": Rule(),
    "malformed": Rule(),
}
