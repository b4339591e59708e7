"""The pauses between the tries of a durable task."""

from __future__ import annotations

import pytest

from bus.tasks.retry import LONGEST_S, pause_s
from schemas.errors import RateLimited, Unavailable, UnknownOutcome


def test_pauses_double_up_to_the_longest() -> None:
    """1, 2, 4 … seconds, then five minutes, however often it was tried."""
    pauses = [pause_s(tries, UnknownOutcome("away")) for tries in range(1, 12)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert pause_s(10_000, UnknownOutcome("away")) == LONGEST_S


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("2.5", 4), ("40", 40), ("1000000", LONGEST_S), ("inf", LONGEST_S), ("nan", 4), ("-9", 4), ("soon", 4), ("", 4)],
)
def test_who_says_when_to_come_back_is_heard_within_the_longest(said: str, seconds: float) -> None:
    """`retry_after_s` makes a pause longer, never shorter, and never longer than five minutes."""
    for error in (Unavailable("full", retry_after_s=said), RateLimited("slow down", retry_after_s=said)):
        assert pause_s(3, error) == seconds
