"""The short chaos run, as `make chaos` runs the long one."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.harness.fleet import CHECKOUT

pytestmark = pytest.mark.timeout(120)

LAST_LINE = re.compile(r"chaos: acknowledged=([1-9]\d*) lost=0 duplicate_effects=0 hung=0")


def test_nothing_acknowledged_is_lost_or_done_twice_and_no_call_hangs() -> None:
    """Through restarts of the server, killed workers, a partition, a slow consumer and a full stream."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--quick"], capture_output=True, text=True, check=False, timeout=110,
        cwd=CHECKOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert LAST_LINE.fullmatch(done.stdout.splitlines()[-1]), done.stdout
