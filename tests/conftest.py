"""Fixtures that every folder of tests uses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.fleet import Bench, bench


@pytest.fixture
async def fleet_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """The example fleet, provisioned on a server of its own; no agents run."""
    async with bench(tmp_path) as running:
        yield running
