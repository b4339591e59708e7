"""What a caller is told when no model answered."""

from __future__ import annotations

import pytest

from agents.llm import AllFailed, BudgetExhausted, LlmError, TooManyRounds
from agents.llm.errors import ContextOverflow, KeyRefused, Overloaded, RateExceeded
from agents.runtime.answering.failures import for_caller


@pytest.mark.parametrize(
    ("error", "may_repeat"),
    [
        (Overloaded("a/b", "busy"), True),
        (KeyRefused("a/b", "no"), True),
        (BudgetExhausted("a/b", "nothing left"), False),
        (TooManyRounds("llm", "ten"), False),
        (AllFailed((ContextOverflow("a/b", "long"), ContextOverflow("a/c", "long"))), False),
        (AllFailed((ContextOverflow("a/b", "long"), Overloaded("a/c", "busy"))), True),
    ],
)
def test_what_may_be_repeated(error: LlmError, may_repeat: bool) -> None:
    """What only another question, or more money, would change is not tried again."""
    assert for_caller(error).retryable == may_repeat
    assert str(error) in str(for_caller(error))


def test_when_to_try_again() -> None:
    """What the provider asked for is passed on."""
    assert for_caller(RateExceeded("a/b", "slow", retry_after_s=2.5)).metadata == {"retry_after_s": "2.500"}
