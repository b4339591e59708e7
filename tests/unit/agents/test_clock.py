"""The clock: well only where somebody says so."""

from __future__ import annotations

import pytest

from agents.doctor import Level
from agents.doctor.clock import clock, judged
from agents.observing import place_of


@pytest.mark.parametrize(
    ("error_us", "level", "says"),
    [
        (1_500, Level.OK, "off by 2 ms at most"),
        (15_999_999, Level.OK, "off by 16,000 ms at most"),
        (16_000_000, Level.WARNING, "not known whether the clock is right"),
        (2**40, Level.WARNING, "not known whether the clock is right"),
    ],
)
def test_an_error_that_only_grows_says_nothing(error_us: int, level: Level, says: str) -> None:
    """The kernel states 16 seconds for a clock that nobody keeps, and less for one that somebody does."""
    found = judged(error_us)
    assert (found.level, says in found.says, bool(found.fix)) == (level, True, level is not Level.OK)


async def test_this_machine_is_asked(tmp_path: object) -> None:
    """Whatever it says, it is one finding, and never a failure."""
    (found,) = await clock(place_of(tmp_path, 0.0))  # type: ignore[arg-type]
    assert found.level in {Level.OK, Level.WARNING}
