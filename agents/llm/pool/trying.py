"""One question on its way through the models of a pool: what was given, what failed, what is left to do."""

from __future__ import annotations

from typing import Final

import structlog

from agents.llm.budget import Budget
from agents.llm.conversation import Completion
from agents.llm.errors import AllFailed, Cause, ContextOverflow, LlmError

from .member import Member

_log = structlog.get_logger("llm")
_TOLD_ALONE: Final[frozenset[Cause]] = frozenset({"budget", "context"})
"""Causes that the caller can do something about: where no choice failed otherwise, that is the error."""


class Trying:
    """The state of one `Pool.stream`."""

    def __init__(self, completion: Completion, budget: Budget | None, *, can_compact: bool) -> None:
        self.completion = completion
        self.budget = budget
        self.failures: dict[Member, LlmError] = {}
        self.is_answered = False
        self.is_begun = False
        """A piece was given since the start or since the last failure."""
        self.voided_by: Cause | None = None
        """Why what was given is void, until the next piece is."""
        self._can_compact = can_compact

    async def fits(self, member: Member) -> bool:
        """Whether this member's window can be larger than those that were too small."""
        too_small = [other.window for other, error in self.failures.items() if isinstance(error, ContextOverflow)]
        if too_small:
            await member.provider()  # looks its window up
        return member.window is None or all(window is None or member.window > window for window in too_small)

    def fail(self, member: Member, error: LlmError) -> None:
        """Note the failure; raise it where no other model can help."""
        _log.warning("llm.call_failed", provider=member.choice.provider, model=member.choice.model, cause=error.cause)
        self.failures[member] = error
        if self.is_begun:
            self.is_begun, self.voided_by = False, error.cause
        if not error.may_try_next or (self._can_compact and isinstance(error, ContextOverflow)):
            raise error

    def error(self) -> LlmError:
        """What to raise when nobody answered."""
        errors = tuple(self.failures.values())
        causes = {error.cause for error in errors}
        return errors[-1] if len(causes) == 1 and causes <= _TOLD_ALONE else AllFailed(errors)
