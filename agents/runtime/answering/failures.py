"""What a caller is told when no model answered."""

from __future__ import annotations

from typing import Final

from agents import llm
from schemas.errors import A2AError, BudgetExceeded, Internal, Unavailable

HOPELESS: Final = frozenset({"budget", "rounds", "malformed", "context", "policy"})
"""Causes that the same request meets again: neither time nor an operator's hand at a key changes them."""


def for_caller(error: llm.LlmError) -> A2AError:
    """The error as the protocol has it: whether the same request may succeed later is what differs."""
    text = f"no model could answer: {error}"
    failures = error.failures if isinstance(error, llm.AllFailed) else (error,)
    if all(failure.cause == "budget" for failure in failures):
        return BudgetExceeded(text)
    if all(failure.cause in HOPELESS for failure in failures):
        return Internal(text)
    if error.retry_after_s is None:
        return Unavailable(text)
    return Unavailable(text, retry_after_s=f"{error.retry_after_s:.3f}")
