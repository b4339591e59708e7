"""The short chaos run, as `make chaos` runs the long one."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.harness.fleet import CHECKOUT

pytestmark = pytest.mark.timeout(240)

LAST_LINE = re.compile(r"chaos: acknowledged=([1-9]\d*) lost=0 duplicate_effects=0 hung=0")


BUSY = "200"
"""Seconds: the program's own limit is for a machine that does nothing else, and time decides no test."""


def test_nothing_acknowledged_is_lost_or_done_twice_and_no_call_hangs() -> None:
    """Through restarts of the server, killed workers, a partition, a slow consumer, a full stream, a full disk and a lost leader."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--quick", "--limit-s", BUSY], capture_output=True, text=True,
        check=False, timeout=230, cwd=CHECKOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert LAST_LINE.fullmatch(done.stdout.splitlines()[-1]), done.stdout


def test_a_run_that_is_not_done_in_time_has_hung() -> None:
    """The limit is the program's own: the last line is printed all the same, the run counts as hung, and exits with 1."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--quick", "--limit-s", "0.5"], capture_output=True, text=True,
        check=False, timeout=230, cwd=CHECKOUT,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "chaos: not done within 0.5 s" in done.stdout
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] == "chaos: acknowledged=0 lost=0 duplicate_effects=0 hung=1"
