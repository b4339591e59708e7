"""When a durable task that could not be finished is tried again: pauses that double, up to a longest one. Pure."""

from __future__ import annotations

from typing import Final

from schemas.errors import A2AError, AgentbusError

FIRST_S: Final = 1.0
LONGEST_S: Final = 300.0


def pause_s(tries: int, error: AgentbusError) -> float:
    """Seconds until the next try after `tries` of them, the last of which ended with `error`.

    Where the error says how long to wait (`retry_after_s`), it is not less than that; never more than `LONGEST_S`.
    """
    doubled_s: float = FIRST_S * 2 ** min(max(tries, 1) - 1, 16)
    return min(LONGEST_S, max(doubled_s, _asked_s(error)))


def _asked_s(error: AgentbusError) -> float:
    said = error.metadata.get("retry_after_s", "") if isinstance(error, A2AError) else ""
    try:
        seconds = float(said)
    except ValueError:
        return 0.0
    return seconds if seconds >= 0 else 0.0  # what is no number of seconds, as NaN, asks for nothing
