"""Errors of routing.

A2AError
├── Unavailable
│   └── NobodyAnswered    each of several agents failed: it says how; the same may succeed later
└── InvalidArgument
    └── Unroutable        no agent is known for this: it says who is known, and for what
"""

from __future__ import annotations

from collections.abc import Mapping

from bus.errors import NobodyServes
from schemas import names
from schemas.errors import A2AError, InvalidArgument, Unavailable


class NobodyAnswered(Unavailable):
    """Nobody of those who were asked answered; `failures` has why, by agent."""

    def __init__(self, failures: Mapping[str, A2AError]) -> None:
        why = "; ".join(f"{agent}: {error.message or error.reason}" for agent, error in failures.items())
        super().__init__(f"nobody answered: {why}")
        self.failures = dict(failures)


def may_have_begun(error: Unavailable) -> bool:
    """Whether the agent that was asked may have begun the work, so that asking another one may do it twice.

    Not where nobody was there, or where it says that nothing was begun.
    """
    return not (isinstance(error, NobodyServes) or names.NOTHING_BEGUN_KEY in error.metadata)


class Unroutable(InvalidArgument):
    """Nobody is known who can do this. Ask for one of those that are named, or add a route."""
