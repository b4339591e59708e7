"""A circuit breaker for each agent that a caller asks: who fails again and again is left alone for a while.

    breakers = Breakers(BreakerRules(), connection)
    with breakers.attempt("textstats") as attempt:     # raises Unavailable while the breaker is open
        …                                              # an error that leaves the block counts

    state        an attempt                        a failure           an answer
    closed       is let through                    5 in a row: open    forgets the failures
    open         refused, for 60 s; then half-open -                   -
    half-open    one at a time, others refused     open                2: closed

A failure is of the agent: unavailable, no answer in time, an internal error. What the caller did wrong, and what was
lost because the caller's own connection was, is none. No I/O; the clock is given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from schemas.errors import A2AError, PayloadTooLarge, PermissionDenied, Unavailable

State = Literal["closed", "open", "half-open"]
OnChange = Callable[[str, State, str], None]
"""Told the agent, its breaker's new state, and why."""
_FORGET_ABOVE = 1024


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """`failures` in a row open a breaker for `open_s`; then `successes` in a row close it. `failures` 0: never opens."""

    failures: int = 5
    successes: int = 2
    open_s: float = 60.0


NEVER = BreakerRules(failures=0)
"""For who has to look again and again whether an agent is back."""


class Link(Protocol):
    """The caller's own connection, whose failures are no agent's."""

    @property
    def is_connected(self) -> bool:
        """Whether a server is on the other end now."""

    @property
    def reconnects(self) -> int:
        """How often the connection was made anew."""


class _Breaker:
    """What is known of an agent that failed lately. `count`: failures while closed, successes while half-open."""

    __slots__ = ("count", "is_probed", "opened_s", "state")

    def __init__(self) -> None:
        self.state: State = "closed"
        self.count = 0
        self.opened_s = -math.inf
        self.is_probed = False


class Breakers:
    """All breakers of one caller. An agent without failures has none, so memory is bounded by those that fail."""

    def __init__(
        self,
        rules: BreakerRules,
        link: Link,
        on_change: OnChange = lambda *_: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._link = link
        self._on_change = on_change
        self._now = now
        self._of: dict[str, _Breaker] = {}

    def state(self, agent: str) -> State:
        """The state of an agent's breaker; one whose time is over is half-open with the next attempt."""
        breaker = self._of.get(agent)
        return breaker.state if breaker else "closed"

    def attempt(self, agent: str) -> Attempt:
        """Begin to ask `agent`: use it as a context.

        Raises:
            Unavailable: its breaker is open; `retry_after_s` says when it is tried again. Nothing was sent.
        """
        breaker = self._of.get(agent)
        is_probe = breaker is not None and breaker.state != "closed" and self._probe(agent, breaker)
        return Attempt(self, agent, self._link.reconnects, is_probe=is_probe)

    def _probe(self, agent: str, breaker: _Breaker) -> bool:
        left_s = breaker.opened_s + self._rules.open_s - self._now()
        if left_s > 0 or breaker.is_probed:
            raise Unavailable(
                f"{agent} failed {self._rules.failures} times in a row and is left alone for a while; nothing was sent",
                agent=agent, retry_after_s=f"{max(left_s, 1):.0f}", nothing_begun="true",
            )  # fmt: skip
        breaker.is_probed = True
        if breaker.state == "open":
            self._change(agent, breaker, "half-open", "it is tried again")
        return True

    def answered(self, agent: str, *, is_probe: bool) -> None:
        """An attempt was answered. While a breaker is not closed only the probe counts: others began before."""
        breaker = self._of.get(agent)
        if breaker is None:
            return
        if is_probe:
            breaker.is_probed = False
            breaker.count += 1
            if breaker.count >= self._rules.successes:
                self._change(agent, breaker, "closed", "it answers again")
        if breaker.state == "closed":
            del self._of[agent]

    def failed(self, agent: str, reason: str, *, is_probe: bool) -> None:
        """An attempt failed by the agent's fault."""
        breaker = self._of.get(agent) or self._new(agent)
        if is_probe:
            breaker.is_probed = False
            self._open(agent, breaker, reason)
        elif breaker.state == "closed":
            breaker.count += 1
            if breaker.count >= self._rules.failures > 0:
                self._open(agent, breaker, reason)

    def ended(self, agent: str, error: BaseException, reconnects: int, *, is_probe: bool) -> None:
        """An attempt was ended by `error`, begun when the connection had been made anew `reconnects` times."""
        if not isinstance(error, A2AError) or isinstance(error, _NEUTRAL):
            self._without_result(agent, is_probe=is_probe)
        elif error.fault == "caller":
            self.answered(agent, is_probe=is_probe)
        elif not self._link.is_connected or self._link.reconnects != reconnects:
            self._without_result(agent, is_probe=is_probe)
        else:
            self.failed(agent, error.reason, is_probe=is_probe)

    def _without_result(self, agent: str, *, is_probe: bool) -> None:
        breaker = self._of.get(agent)
        if breaker is not None and is_probe:
            breaker.is_probed = False

    def _new(self, agent: str) -> _Breaker:
        if len(self._of) >= _FORGET_ABOVE:
            del self._of[next(iter(self._of))]
        breaker = self._of[agent] = _Breaker()
        return breaker

    def _open(self, agent: str, breaker: _Breaker, reason: str) -> None:
        breaker.opened_s = self._now()
        self._change(agent, breaker, "open", reason)

    def _change(self, agent: str, breaker: _Breaker, state: State, reason: str) -> None:
        breaker.state, breaker.count = state, 0
        self._on_change(agent, state, reason)


_NEUTRAL = (PermissionDenied, PayloadTooLarge)
"""Refused on the way: they say nothing of the agent."""


class Attempt:
    """One request, or the beginning of one stream. What leaves the block counts, unless it was answered before."""

    __slots__ = ("_agent", "_breakers", "_is_over", "_is_probe", "_reconnects")

    def __init__(self, breakers: Breakers, agent: str, reconnects: int, *, is_probe: bool) -> None:
        self._breakers = breakers
        self._agent = agent
        self._reconnects = reconnects
        self._is_probe = is_probe
        self._is_over = False

    def answered(self) -> None:
        """The agent answers; what comes after that does not count."""
        if not self._is_over:
            self._is_over = True
            self._breakers.answered(self._agent, is_probe=self._is_probe)

    def failed(self, reason: str) -> None:
        """It failed, by what only who asks can tell."""
        if not self._is_over:
            self._is_over = True
            self._breakers.failed(self._agent, reason, is_probe=self._is_probe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self.answered()
        elif not self._is_over:
            self._is_over = True
            self._breakers.ended(self._agent, error, self._reconnects, is_probe=self._is_probe)
