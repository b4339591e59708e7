"""How long the server keeps what an agent stores of its tasks, in seconds: each value carries its own time (`Nats-TTL`).

The record of a durable task is what makes its effects happen once, so it must outlive every delivery of its message.
A message leaves TASKS after `TASKS_MAX_AGE_S`, one that was put off leaves TASK_LATER as long after it fell due
(`Nats-Schedule-TTL`), and both are there before the task ends; so a day more than that, from its end, is enough.

Source: ADR-43 (per-message TTL), ADR-48 (TTL in key-value buckets), ADR-51 (schedules).
"""

from __future__ import annotations

from typing import Final

from bus.provision.streams import TASKS_MAX_AGE_S
from schemas import a2a, names

_DAY_S: Final = 24 * 3600
DURABLE_S: Final = TASKS_MAX_AGE_S + _DAY_S
"""A durable task after its end, and the history of its tries."""
UNATTENDED_S: Final = 7 * _DAY_S
"""Any other task after its end: as long as its updates are kept."""
OPEN_S: Final = 2 * TASKS_MAX_AGE_S + 2 * _DAY_S
"""A task that has not ended, after it changed last. One may be put off for a month, and be taken up a month after it is due."""
PUSH_S: Final = OPEN_S + DURABLE_S
"""Where a caller wants to be notified: as long as a task that does not change any more can be there."""
TOMBSTONE_S: Final = 60
"""What stands for a value that was deleted, until the server forgets it."""


def keeping(seconds: int) -> dict[str, str]:
    """The header that says for how long."""
    return {names.TTL: str(seconds)}


def of_task(task: a2a.Task, *, is_durable: bool) -> int:
    """For how long a task is kept in this state."""
    if not task.is_final:
        return OPEN_S
    return DURABLE_S if is_durable else UNATTENDED_S
