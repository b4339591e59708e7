"""What must be reached, and whether it was: the table at the end of `make bench`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tests.bench.sizes import Sizes


class Target(NamedTuple):
    """`figure` is the name under which it is measured; `limit` is met itself. `size` names how much is measured."""

    what: str
    figure: str
    limit: float
    unit: str
    is_floor: bool = False
    size: str = ""

    def is_met_by(self, measured: float) -> bool:
        """Whether it is enough; what is no number never is."""
        return measured >= self.limit if self.is_floor else measured <= self.limit


VERIFY = (
    Target("verify a trail of {} events: time", "verify_s", 60, "s", size="trail"),
    Target("verify a trail of {} events: memory", "verify_mb", 500, "MB", size="trail"),
)
TARGETS = (
    Target("requests with 64 in flight", "throughput_ratio", 0.5, "of raw", is_floor=True),
    Target("one request alone, p50", "p50_ratio", 1.5, "times raw"),
    Target("memory of a worker: growth over {} requests", "growth_mib", 1, "MiB", size="many"),
    Target("audit: emit one event", "emit_us", 15, "µs"),
    *VERIFY,
    Target("approvals.list after {} proposals, median", "list_ms", 100, "ms", size="past"),
    Target("model call above OpenAI's bare client, p50", "call_overhead_openai_ms", 1, "ms"),
    Target("model call above Anthropic's bare client, p50", "call_overhead_anthropic_ms", 1, "ms"),
    Target("conversations that stream at once, whole", "whole_conversations", 200, "", is_floor=True),
    Target("memory of a conversation", "conversation_mb", 1, "MB"),
    Target("start of an agent, to ready", "start_s", 1, "s"),
    Target("start of an agent, to its model's first answer", "first_answer_s", 3, "s"),
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A target and what was measured."""

    what: str
    figure: str
    measured: float
    limit: float
    unit: str
    is_floor: bool
    is_met: bool


def judged(target: Target, figures: Mapping[str, float], sizes: Sizes) -> Verdict:
    """Raises KeyError when nothing was measured for it: a target nobody looked at is not met, nor missed."""
    measured = figures[target.figure]
    what = target.what.format(f"{sizes._asdict()[target.size]:,}") if target.size else target.what
    return Verdict(
        what=what, figure=target.figure, measured=measured, limit=target.limit, unit=target.unit,
        is_floor=target.is_floor, is_met=target.is_met_by(measured),
    )  # fmt: skip


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """A line for each, and one that counts."""
    yield f"{'TARGET':<55} {'LIMIT':>20}   {'MEASURED':>8}"
    for verdict in verdicts:
        limit = f"{'at least' if verdict.is_floor else 'at most'} {verdict.limit:g} {verdict.unit}"
        yield f"{verdict.what:<55} {limit:>20}   {verdict.measured:>8.2f}   {'met' if verdict.is_met else 'MISSED'}"
    met = sum(verdict.is_met for verdict in verdicts)
    yield f"bench: {met} of {len(verdicts)} targets met"


def exit_code(verdicts: Sequence[Verdict], *, is_check: bool) -> int:
    """1 when a target was missed and that is asked for."""
    return int(is_check and not all(verdict.is_met for verdict in verdicts))
