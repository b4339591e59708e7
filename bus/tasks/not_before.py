"""When a durable task may be begun, as its caller says it."""

from __future__ import annotations

import datetime
import time
from typing import Final

from bus.provision.streams import TASKS_MAX_AGE_S
from schemas import names
from schemas.errors import InvalidArgument

MAX_AHEAD_S: Final = TASKS_MAX_AGE_S
"""A task that nobody takes up is kept for so long in TASKS, so none is put off for longer."""


def not_before_header(moment: datetime.datetime, within_s: float | None) -> dict[str, str]:
    """The header that puts a task off to `moment`; `within_s` is when it has to be done, in seconds from now.

    Raises:
        InvalidArgument: the moment has no time zone or is too far away, or the task has to be done before it.
    """
    if moment.tzinfo is None:
        raise InvalidArgument("not_before has no time zone; give it one, for example datetime.UTC")
    ahead_s = moment.timestamp() - time.time()
    if ahead_s > MAX_AHEAD_S:
        raise InvalidArgument(f"not_before is more than {MAX_AHEAD_S // 86400} days away; leave the task later")
    if within_s is not None and within_s <= ahead_s:
        raise InvalidArgument(
            "the task has to be done (within_s) before it may be begun (not_before); name a later end"
        )
    return {names.NOT_BEFORE: str(max(0, int(moment.timestamp() * 1000)))}
