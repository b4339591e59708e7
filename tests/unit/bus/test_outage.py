"""Trying again while the server is away: which errors, how long, and what a try is told."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bus.outage import through_outage
from schemas.errors import DeadlineExceeded, PayloadTooLarge, Unavailable, UnknownOutcome

Attempt = Callable[[bool], Coroutine[Any, Any, str]]


def _failing(told: list[bool], *errors: Exception) -> Attempt:
    """Fails with each of `errors` in turn, then stores; `told` gets what each try was told."""
    left = list(errors)

    async def attempt(is_unsure: bool) -> str:
        told.append(is_unsure)
        if left:
            raise left.pop(0)
        return "stored"

    return attempt


async def test_it_is_tried_again_until_it_is_stored() -> None:
    """Each error of an outage is followed by another try, which is told that an earlier one may have been stored."""
    told: list[bool] = []
    away = (Unavailable("away"), DeadlineExceeded("late"), UnknownOutcome("unsure"))
    assert await through_outage(_failing(told, *away), pause_s=0) == "stored"
    assert told == [False, True, True, True]


async def test_a_refusal_is_not_tried_again() -> None:
    """An error that is none of an outage, or not of those named, is raised at once."""
    told: list[bool] = []
    with pytest.raises(PayloadTooLarge):
        await through_outage(_failing(told, PayloadTooLarge("large")), pause_s=0)
    with pytest.raises(Unavailable):
        await through_outage(_failing(told, Unavailable("away")), errors=(UnknownOutcome,), pause_s=0)
    assert told == [False, False]


async def test_after_the_time_the_last_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the time, there is one try; then what it failed with is the answer."""
    monkeypatch.setattr("bus.outage.PATIENCE_S", -1.0)
    told: list[bool] = []
    with pytest.raises(UnknownOutcome, match="first"):
        await through_outage(_failing(told, UnknownOutcome("first")), pause_s=0)
    assert told == [False]
