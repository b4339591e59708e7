"""When a key that the server does not take is refused for good."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nats.errors import AuthorizationError, Error

from bus.refusals import Patience, Refusals, is_refusal

UNITS = sorted((Path(__file__).parents[3] / "systemd").glob("agent*.service"))
PATIENCE = Patience(times=3, for_s=60)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


def refused(refusals: Refusals, clock: Clock, *, times: int, every_s: float) -> list[bool]:
    """Whether each of them was for good; time passes after each."""
    found = []
    for _ in range(times):
        refusals.add()
        found.append(refusals.are_for_good)
        clock.at_s += every_s
    return found


@pytest.mark.parametrize(
    ("every_s", "expected"),
    [
        (1.0, [False] * 3),  # often enough, and too soon
        (30.0, [False, False, True]),
        (100.0, [False, False, True]),  # long enough, and too few before the third
    ],
)
def test_it_takes_the_number_and_the_time(every_s: float, expected: list[bool]) -> None:
    """Neither many refusals in a moment nor a few over a long time are for good."""
    clock = Clock()
    assert refused(Refusals(PATIENCE, clock), clock, times=3, every_s=every_s) == expected


def test_being_let_in_begins_anew() -> None:
    """Both bounds count from the last time that the key was taken."""
    clock = Clock()
    refusals = Refusals(PATIENCE, clock)
    assert refused(refusals, clock, times=2, every_s=100) == [False, False]
    refusals.forget()
    assert refused(refusals, clock, times=3, every_s=29) == [False, False, False]
    assert refused(refusals, clock, times=1, every_s=0) == [True]


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (Error("nats: 'Authorization Violation'"), True),
        (AuthorizationError(), True),
        (Error("nats: 'Permissions Violation for Publish to \"a.b\"'"), False),
        (Error("nats: 'Authentication Timeout'"), False),
        (ConnectionRefusedError("Connect call failed"), False),
        (Error("nats: empty response from server when expecting INFO message"), False),
    ],
)
def test_what_counts(error: Exception, is_one: bool) -> None:
    """Only that the server does not take the key: not a right that is missing, a slow login or a server that is away."""
    assert is_refusal(error) is is_one


def _seconds(unit: str, name: str) -> int:
    found = re.search(rf"^{name}=(\d+)s?$", unit, re.MULTILINE)
    assert found, name
    return int(found[1])


@pytest.mark.parametrize(
    "unit", [path for path in UNITS if "Restart=on-failure" in path.read_text()], ids=lambda path: path.name
)
def test_a_unit_goes_on_trying(unit: Path) -> None:
    """A process that ends each time for its key is started again each time: that is rarer than the unit's limit allows."""
    text = unit.read_text()
    a_try_s = Patience().for_s + _seconds(text, "RestartSec")
    assert a_try_s * _seconds(text, "StartLimitBurst") > _seconds(text, "StartLimitIntervalSec")
