"""When a task may be begun, as a person types it."""

from __future__ import annotations

import datetime

import pytest

from agents.cli.when import moment_of
from schemas.errors import InvalidDocument

NOW = datetime.datetime(2030, 1, 31, 7, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("after", "at", "seconds"),
    [
        ("90s", "", 90),
        ("10m", "", 600),
        ("1h30m", "", 5400),
        ("2d", "", 172800),
        ("1d2h3m4s", "", 93784),
        ("0s", "", 0),
        ("", "2030-01-31T07:00:10Z", 10),
        ("", "2030-01-31T08:00:00+01:00", 0),
        ("", "2030-01-31T06:59:59.5Z", -0.5),
    ],
)
def test_a_time_is_understood(after: str, at: str, seconds: float) -> None:
    """A while counts from now; a moment is what it says, in whatever time zone."""
    assert moment_of(after, at, NOW) == NOW + datetime.timedelta(seconds=seconds)


def test_no_time_is_none() -> None:
    """Without either the task is due at once."""
    assert moment_of("", "", NOW) is None


@pytest.mark.parametrize(
    ("after", "at"),
    [
        ("10", ""),
        ("-5m", ""),
        ("5m1h", ""),
        ("1.5h", ""),
        ("99999999999d", ""),
        ("\x1b[2J", ""),
        ("\u0665m", ""),
        ("", "tomorrow"),
        ("", "2030-01-31"),
        ("", "2030-01-31T07:00:00"),
        ("1m", "2030-01-31T07:00:00Z"),
    ],
)
def test_what_is_no_time_is_refused_with_an_example(after: str, at: str) -> None:
    """A time that could be meant in two ways, or in none, is refused, in text that does nothing to a terminal."""
    with pytest.raises(InvalidDocument, match=r"for example|not both") as refusal:
        moment_of(after, at, NOW)
    assert str(refusal.value).isprintable()
