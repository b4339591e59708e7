"""What a caller is told when no model answered."""

from __future__ import annotations

import pytest

from agents.llm import AllFailed, BudgetExhausted, LlmError, TooManyRounds
from agents.llm.errors import ContextOverflow, KeyRefused, Overloaded, RateExceeded
from agents.llm.providers.failures import HttpFailure, error_of
from agents.runtime.answering.failures import for_caller
from schemas.redaction import REGISTERED


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


def test_a_provider_that_repeats_the_key_is_not_repeated() -> None:
    """An error code or a request's id that is a key of this process is no word for anybody."""
    REGISTERED.add("k3y-that-is-1-plain-word")
    failure = HttpFailure(
        status=401,
        codes=("k3y-that-is-1-plain-word", "no_such_key"),
        headers={"request-id": "k3y-that-is-1-plain-word"},
    )
    assert error_of("a/b", failure).detail == "HTTP 401 no_such_key"
