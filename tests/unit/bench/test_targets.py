"""The verdict of `make bench`: what is met, what is missed, and that nothing is met by not being measured."""

from __future__ import annotations

import math

import pytest

from tests.bench.report import Report
from tests.bench.sizes import FULL
from tests.bench.targets import TARGETS, Target, exit_code, judged, table

AT_THE_LIMIT = {target.figure: target.limit for target in TARGETS}


def test_the_targets_are_those_of_the_design() -> None:
    """Each figure and its limit; the whole form measures as much as they speak of."""
    assert AT_THE_LIMIT == {
        "throughput_ratio": 0.5, "p50_ratio": 1.5, "growth_mib": 1, "emit_us": 15, "verify_s": 60, "verify_mb": 500,
        "list_ms": 100, "call_overhead_openai_ms": 1, "call_overhead_anthropic_ms": 1, "whole_conversations": 200,
        "conversation_mb": 1, "start_s": 1, "first_answer_s": 3,
    }  # fmt: skip
    assert (FULL.many, FULL.trail, FULL.past, FULL.conversations) == (100_000, 1_000_000, 10_000, 200)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.figure))
def test_a_target_is_met_up_to_its_limit(target: Target) -> None:
    """A little beyond it is missed, and so is what is no number."""
    worse = target.limit * (0.99 if target.is_floor else 1.01)
    for measured, is_met in ((target.limit, True), (worse, False), (math.nan, False)):
        assert judged(target, {target.figure: measured}, FULL).is_met == is_met


def test_what_was_not_measured_is_not_judged() -> None:
    """A run that skipped something ends with an error and not with a verdict."""
    with pytest.raises(KeyError):
        judged(TARGETS[0], {}, FULL)


def test_the_table_counts() -> None:
    """One line each, met or missed, and the count last."""
    figures = AT_THE_LIMIT | {"emit_us": 16.0}
    lines = list(table([judged(target, figures, FULL) for target in TARGETS]))
    assert lines[-1] == f"bench: {len(TARGETS) - 1} of {len(TARGETS)} targets met"
    (missed,) = (line for line in lines if "MISSED" in line)
    assert missed.split()[:2] == ["audit:", "emit"]


def test_only_a_check_fails() -> None:
    """Without `--check` a missed target is told and no error; with it one is enough."""
    met = [judged(target, AT_THE_LIMIT, FULL) for target in TARGETS]
    missed = [*met[1:], judged(TARGETS[0], {TARGETS[0].figure: 0.49}, FULL)]
    assert [exit_code(met, is_check=True), exit_code(missed, is_check=True)] == [0, 1]
    assert exit_code(missed, is_check=False) == 0


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    """Each round is compared with its own baseline, so that a machine that slows down in between changes little."""
    report = Report(FULL)
    assert report.compare("throughput", ours=[10, 20, 90], baseline=[20, 80, 100]) == 0.5
    assert report.figures["throughput_ratio"] == 0.5
