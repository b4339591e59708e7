"""Fixtures that every folder of tests uses."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.harness.fleet import Bench, bench

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So does a shell with what it starts in the background, and every process that a test starts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A test that runs a command in this process leaves the next one no log of a command."""
    yield
    structlog.reset_defaults()


@pytest.fixture
async def fleet_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """The example fleet, provisioned on a server of its own; no agents run."""
    async with bench(tmp_path) as running:
        yield running
