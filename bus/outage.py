"""Storing through an outage: tried again while the server is away, for as long as it is worth waiting.

Guarantees: one try at least, the first answer is the last try, and the last try's error is raised. Not
guaranteed: that an error means that nothing was stored; each try must be one that may be repeated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.errors import DeadlineExceeded, Unavailable, UnknownOutcome

PATIENCE_S: Final = 30.0
_PAUSE_S: Final = 0.2
AWAY: Final = (Unavailable, DeadlineExceeded, UnknownOutcome)
"""What says that the server does not answer now, and not that it refused."""


async def through_outage[T](
    attempt: Callable[[bool], Awaitable[T]], *, errors: tuple[type[Exception], ...] = AWAY, pause_s: float = _PAUSE_S
) -> T:
    """What `attempt` returns, tried again after each of `errors` for half a minute.

    `attempt` is told whether an earlier try failed: then what it stores may be there already.

    Raises:
        Exception: one of `errors` when the time is over; any other one at once.
    """
    deadline = time.monotonic() + PATIENCE_S
    is_unsure = False
    while True:
        try:
            return await attempt(is_unsure)
        except errors:
            if time.monotonic() > deadline:
                raise
        is_unsure = True
        await asyncio.sleep(pause_s)
