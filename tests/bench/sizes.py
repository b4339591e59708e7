"""How much is measured: enough to decide by, or only enough to see that the measuring works."""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """`rounds` is how often baseline and product take turns; all other numbers say how many of what."""

    rounds: int
    warm_up: int
    requests: int
    one_by_one: int
    stored: int
    streams: int
    pieces: int
    tasks: int
    many: int
    emitted: int
    awaited: int
    trail: int
    past: int
    listed: int
    model_calls: int
    conversations: int
    starts: int


FULL = Sizes(
    rounds=7, warm_up=2_048, requests=6_400, one_by_one=1_000, stored=6_400, streams=16, pieces=200, tasks=2_000,
    many=100_000, emitted=20_000, awaited=1_000, trail=1_000_000, past=10_000, listed=50,
    model_calls=200, conversations=200, starts=5,
)  # fmt: skip
QUICK = Sizes(
    rounds=2, warm_up=64, requests=256, one_by_one=20, stored=128, streams=2, pieces=5, tasks=5,
    many=256, emitted=1_000, awaited=20, trail=2_000, past=20, listed=5,
    model_calls=3, conversations=4, starts=1,
)  # fmt: skip
