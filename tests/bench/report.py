"""What was measured: printed as it comes, kept for the end, and handed to a machine whole."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, field
from typing import TextIO

import msgspec

from tests.bench.sizes import Sizes
from tests.bench.targets import Target, Verdict, judged


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """Ours and the baseline, round by round in the same run; `ratio` is the median of theirs."""

    ours: list[float]
    baseline: list[float]
    ratio: float


@dataclass
class Report:
    """Lines go to `out` at once. `figures` and `ratios` are by name, its unit last."""

    sizes: Sizes
    out: TextIO = field(default_factory=lambda: sys.stdout)
    figures: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, Ratio] = field(default_factory=dict)

    def line(self, title: str, figure: str) -> None:
        """One line of the report."""
        print(f"{title:<62} {figure}", file=self.out, flush=True)

    def keep(self, **figures: float) -> None:
        """Figures, to be judged or read by a machine."""
        self.figures |= figures

    def compare(self, name: str, ours: list[float], baseline: list[float]) -> float:
        """The ratio of two sides that were measured in turn; kept as the figure `<name>_ratio` too."""
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, baseline, strict=True))
        self.ratios[name] = Ratio(ours=ours, baseline=baseline, ratio=ratio)
        self.figures[f"{name}_ratio"] = ratio
        return ratio

    def verdicts(self, targets: tuple[Target, ...]) -> list[Verdict]:
        """Each target beside what was measured for it."""
        return [judged(target, self.figures, self.sizes) for target in targets]

    def as_json(self, verdicts: list[Verdict], *, is_quick: bool) -> bytes:
        """All of it: one object."""
        whole = {
            "is_quick": is_quick, "sizes": self.sizes._asdict(), "figures": self.figures, "ratios": self.ratios,
            "targets": verdicts,
        }  # fmt: skip
        return msgspec.json.format(msgspec.json.encode(whole))
