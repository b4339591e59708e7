"""Why the stream of durable tasks did not store one, as its caller is told."""

from __future__ import annotations

from bus.jetstream import FULL, FULL_FOR_SUBJECT, ApiError
from schemas.errors import AgentbusError, RateLimited, Unavailable


def refusal(error: ApiError, caller: str, agent: str) -> AgentbusError:
    """RateLimited: this caller has as many tasks there as it may. Unavailable: the stream is full. Else `error` itself."""
    if error.code != FULL:
        return error
    if FULL_FOR_SUBJECT in str(error):
        return RateLimited(
            f"{caller} has left as many tasks for {agent} as one caller may; each counts for 30 days after it was left, "
            "done or not: leave fewer, or several pieces of work in one; an operator can raise "
            "tasks_per_caller in the fleet file"
        )
    return Unavailable(
        f"no task can be left for {agent}: the fleet's stream of tasks is full until old ones expire; "
        "an operator can look with `nats stream info TASKS`, or give it more room"
    )
