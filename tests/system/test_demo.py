"""The demo is the README's promise: every journey, on a machine with nothing running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.demo.journeys import STEPS
from tests.harness.fleet import CHECKOUT


@pytest.mark.timeout(370)
def test_the_demo_passes_and_leaves_nothing(tmp_path: Path) -> None:
    """Every step prints PASS, the last line counts them, exit 0, and its folder is gone."""
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", "demo"], capture_output=True, text=True, check=False, timeout=350,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line[:4] for line in lines[1:-1]] == ["PASS"] * len(STEPS)
    assert lines[-1] == f"demo: {len(STEPS)} of {len(STEPS)} steps passed"
    assert list(tmp_path.iterdir()) == []
