"""Times of events as numbers."""

from __future__ import annotations

import datetime
import re

_FRACTION = re.compile(r"\.(\d{1,9})")
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def nanoseconds(time: str) -> int:
    """Nanoseconds since the Unix epoch of an RFC 3339 time, all nine digits; 0 of what is none, or is before it."""
    try:
        moment = datetime.datetime.fromisoformat(time)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    seconds = (moment.replace(microsecond=0) - _EPOCH) // datetime.timedelta(seconds=1)
    fraction = _FRACTION.search(time)
    return max(0, seconds * 1_000_000_000 + (int(fraction[1].ljust(9, "0")) if fraction else 0))
