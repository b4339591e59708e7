"""When a key that the server does not take is refused for good: often enough, and over long enough.

One refusal says little. A reload may let the key in a moment later, and in a cluster one server may read its
configuration after another. So both bounds have to be met, counted since the key was last let in; that a server is
away counts for nothing, and takes nothing back either: a member that is gone for ever must not hide what the others say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_WORDS = ("authorization violation", "authorization failed")
"""What the server says to a login, and what nats-py makes of it. Source: nats-server `authViolation`; nats-py 2.16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """`times` refusals within no less than `for_s` seconds are for good.

    A minute is longer than any reload, and keeps a process that its service manager starts again each time
    below five starts in 300 s (`StartLimitBurst` of the units): it goes on trying, and serves when the key is back.
    """

    times: int = 20
    for_s: float = 60.0


def is_refusal(error: Exception) -> bool:
    """Whether the server did not take the key; not when it only forbade one subject."""
    text = str(error).lower()
    return any(words in text for words in _WORDS)


class Refusals:
    """Those of one connection since it was last let in."""

    def __init__(self, patience: Patience, now: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._now = now
        self._since_s = 0.0
        self.count = 0

    def add(self) -> None:
        """The server refused the key once more."""
        if not self.count:
            self._since_s = self._now()
        self.count += 1

    def forget(self) -> None:
        """The server let the key in."""
        self.count = 0

    @property
    def are_for_good(self) -> bool:
        """Whether there is nothing left to wait for."""
        is_long = self._now() - self._since_s >= self._patience.for_s
        return self.count >= self._patience.times and is_long
