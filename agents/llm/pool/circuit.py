"""The breaker of one model at one account: whether it may be asked now. No I/O; the clock is given.

    state        a call                            a failure that counts   an answer
    closed       goes through                      5 in a row: open        forgets the failures
    open         refused, until its time is over   -                       -
    half-open    one at a time, others refused     open                    2 in a row: closed

What opens it at once, and for how long, says the table in `rules`. While it is not closed, only the one
call that tries it counts: others began before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from agents.llm.errors import LlmError
from schemas.agent import Breaker

from .rules import RULES

State = Literal["closed", "open", "half-open"]
OnState = Callable[[State, str], None]
"""Told the new state and the cause."""
_BUSY_S = 1.0
"""When to come back while another call tries the model."""


class Circuit:
    """What is known of a model that failed lately."""

    def __init__(self, settings: Breaker, now: Callable[[], float], on_state: OnState) -> None:
        self._settings = settings
        self._now = now
        self._on_state = on_state
        self._state: State = "closed"
        self._count = 0
        """Failures in a row while closed, answers in a row while half-open."""
        self._open_until = -math.inf
        self._is_tried = False
        self._error: LlmError | None = None

    @property
    def state(self) -> State:
        """The state; one whose time is over leaves it with the next call."""
        return self._state

    @property
    def left_s(self) -> float:
        """How long it stays open; infinite: until the process starts anew."""
        return self._open_until - self._now() if self._state == "open" else 0.0

    @property
    def can_be_probed(self) -> bool:
        """Open because the provider was away, which a look at it can end; a limit or a wrong key stays what it is."""
        return self._state == "open" and self._error is not None and RULES[self._error.cause].breaker == "counts"

    def enter(self) -> Pass | None:
        """Begin a call; None: the model is to be left alone now."""
        if self._state == "open" and self.left_s <= 0:
            is_careful = self._error is None or RULES[self._error.cause].is_tried_carefully
            self._change("half-open" if is_careful else "closed")
        if self._state == "closed":
            return Pass(self, is_trial=False)
        if self._state == "open" or self._is_tried:
            return None
        self._is_tried = True
        return Pass(self, is_trial=True)

    def refusal(self, where: str) -> LlmError:
        """Why the model was not asked: as the failure that opened the breaker, with when it is tried again."""
        left_s = max(self.left_s, _BUSY_S)
        told = "until this process starts anew" if left_s == math.inf else f"for {left_s:.0f} s"
        error = self._error
        if error is None:
            raise AssertionError("a breaker that is not closed was opened by a failure")
        return type(error)(
            where, f"not asked {told} ({error.detail})", retry_after_s=None if left_s == math.inf else left_s
        )

    def probed(self) -> None:
        """The provider answered a probe: the next call may try the model."""
        if self._state == "open":
            self._open_until = self._now()

    def answered(self, *, is_trial: bool) -> None:
        """The model, or its provider for it, answered."""
        if self._state == "closed":
            self._count = 0
        elif is_trial and self._state == "half-open":
            self._count += 1
            if self._count >= self._settings.successes:
                self._change("closed")

    def failed(self, error: LlmError, *, is_trial: bool) -> None:
        """A call failed; the rule of its cause says whether that is the model's fault."""
        rule = RULES[error.cause]
        if rule.breaker == "nothing":
            self.answered(is_trial=is_trial)
        elif rule.breaker == "opens":
            self._open(error, error.retry_after_s if error.retry_after_s is not None else rule.open_s)
        elif is_trial:
            self._open(error, self._settings.open_s)
        elif self._state == "closed":
            self._count += 1
            if self._count >= self._settings.failures > 0:
                self._open(error, self._settings.open_s)

    def end_trial(self) -> None:
        """The call that tried the model is over, however it ended."""
        self._is_tried = False

    def _open(self, error: LlmError, open_s: float) -> None:
        until = self._now() + open_s
        if self._state == "open" and until <= self._open_until:
            return
        self._open_until, self._error = until, error
        if self._state != "open":
            self._change("open")

    def _change(self, state: State) -> None:
        self._state, self._count = state, 0
        self._on_state(state, self._error.cause if self._error else "")


class Pass:
    """One call that its breaker let through. Tell how it ended, or leave it: then it says nothing of the model."""

    def __init__(self, circuit: Circuit, *, is_trial: bool) -> None:
        self._circuit = circuit
        self._is_trial = is_trial
        self._is_over = False

    def answered(self) -> None:
        """The answer is there."""
        if self._end():
            self._circuit.answered(is_trial=self._is_trial)

    def failed(self, error: LlmError) -> None:
        """The call failed."""
        if self._end():
            self._circuit.failed(error, is_trial=self._is_trial)

    def left(self) -> None:
        """Nobody waits for the call any more."""
        self._end()

    def _end(self) -> bool:
        if self._is_over:
            return False
        self._is_over = True
        if self._is_trial:
            self._circuit.end_trial()
        return True
