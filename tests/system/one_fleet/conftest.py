"""One running fleet for all tests of this folder, which one process runs one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.fleet import RunningFleet, running_fleet


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """The example fleet as `agentbus up --detach` runs it."""
    with running_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running
