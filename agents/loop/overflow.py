"""Whether a question was too long for the models that could have answered it."""

from __future__ import annotations

from agents.llm import AllFailed, LlmError
from agents.llm.errors import ContextOverflow


def is_overflow(error: LlmError) -> bool:
    """Whether a shorter question may be answered: a model refused this one as too long."""
    if isinstance(error, AllFailed):
        return any(isinstance(failure, ContextOverflow) for failure in error.failures)
    return isinstance(error, ContextOverflow)
