"""The short form of `make bench`: that everything is measured, against the baseline of the same run. Never how fast."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys

import pytest

from tests.bench.sizes import QUICK
from tests.bench.targets import TARGETS
from tests.harness.fleet import CHECKOUT


def _bench(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=170, cwd=CHECKOUT)


@pytest.mark.timeout(180)
def test_everything_is_measured_and_judged() -> None:
    """Each figure is a number that was measured, each ratio comes from both sides, and there is a verdict on each target."""
    done = _bench("--quick", "--json")
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout)
    assert whole["is_quick"] is True
    assert whole["sizes"] == QUICK._asdict()
    figures = whole["figures"]
    assert all(math.isfinite(figure) for figure in figures.values())
    ratios = whole["ratios"]
    assert {"throughput", "p50", "frames", "tasks"} < ratios.keys()
    for name, sides in ratios.items():
        assert min(sides["ours"] + sides["baseline"]) > 0
        of_each = [ours / baseline for ours, baseline in zip(sides["ours"], sides["baseline"], strict=True)]
        assert sides["ratio"] == figures[f"{name}_ratio"] == pytest.approx(statistics.median(of_each))
    assert [len(ratios[name]["ours"]) for name in ("throughput", "p50")] == [QUICK.rounds] * 2
    judged = {verdict["figure"]: verdict for verdict in whole["targets"]}
    assert list(judged) == [target.figure for target in TARGETS]
    for target in TARGETS:
        verdict = judged[target.figure]
        assert verdict["measured"] == figures[target.figure]
        assert verdict["is_met"] is target.is_met_by(verdict["measured"])
    assert f"of {len(TARGETS)} targets met" in done.stderr
    assert f"{QUICK.trail:,} events, a message each" in done.stderr


def test_the_short_form_decides_nothing() -> None:
    """What says whether targets are met refuses sizes that cannot say it."""
    done = _bench("--quick", "--check")
    assert done.returncode == 2
    assert "leave out --quick" in done.stderr
