"""The sign of life of one instance of an agent, on `a2a.v1.hb.<agent>`.

Who sent it is the agent's token of the subject; the rest is what that agent says of itself.

    {"instance": "01k…", "slot": "0", "version": "1.0.0", "started": "2026-01-02T03:04:05.678Z",
     "state": "ready", "interval_s": 30.0, "running": 2, "queued": 0, "streams": 1}
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from schemas.errors import UNREADABLE, InvalidArgument
from schemas.subjects import SLOT, TOKEN

MISSED: int = 3
"""An instance that has missed so many heartbeats is offline."""
LONGEST_INTERVAL_S = 3600.0

State = Literal["ready", "draining", "leaving"]
"""`draining`: it finishes what it has and takes nothing new. `leaving`: its last heartbeat."""
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat. `slot` is the instance's place among those of its agent: a new one there replaces the old."""

    instance: Annotated[str, msgspec.Meta(pattern=rf"^{TOKEN}\Z")]
    started: Annotated[str, msgspec.Meta(max_length=40)]
    state: State
    interval_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_INTERVAL_S)]
    slot: Annotated[str, msgspec.Meta(pattern=rf"^{SLOT}\Z")] = "0"
    version: Annotated[str, msgspec.Meta(max_length=64)] = ""
    running: _Count = 0
    """Requests, tasks in the background and durable tasks at work."""
    queued: _Count = 0
    """Requests that wait for a place."""
    streams: _Count = 0


def read_heartbeat(payload: bytes) -> Heartbeat:
    """A heartbeat from the bus; unknown fields are ignored.

    Raises:
        InvalidArgument: it is not one.
    """
    try:
        return msgspec.json.decode(payload, type=Heartbeat)
    except UNREADABLE as error:
        raise InvalidArgument(f"not a heartbeat: {error}") from None
