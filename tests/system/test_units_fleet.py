"""`make units`' checks under a real systemd: one boot and one fleet for all of them, in their order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.needs import needs
from tests.harness.systemd_boot import obstacle
from tests.units.checks import BOOTED, Check
from tests.units.ground import Ground, ground

pytestmark = [needs(obstacle() is None, obstacle()), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Ground]:
    """Three agents and what they need, installed and started as an operator does."""
    with ground() as running:
        yield running


@pytest.mark.parametrize(
    "check",
    [pytest.param(check, id=check.name, marks=needs(check.obstacle is None, check.obstacle)) for check in BOOTED],
)
def test_it_is_so(fleet: Ground, check: Check) -> None:
    """The check sees what it says."""
    fleet.fresh()
    assert check.look(fleet)
