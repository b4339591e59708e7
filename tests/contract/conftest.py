"""What tests of several modules need."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.approvals.approvals_bench import Approvals
from tests.harness.fleet import Bench


@pytest.fixture
async def approvals(fleet_bench: Bench) -> AsyncIterator[Approvals]:
    """The example fleet with its approval service running."""
    running = Approvals(fleet_bench)
    await running.start()
    yield running
    await running.close()
