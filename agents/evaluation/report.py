"""What came of an evaluation: case by case, and as the record that reviewers see."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Literal

import msgspec

from schemas.approvals import Evaluation
from schemas.ids import ulid
from schemas.text import harmless

from .scoring import Score


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One case, tried once. `cost_usd` is None where the agent did not say."""

    name: str
    is_passed: bool
    why: str = ""
    points: float | None = None
    duration_s: float
    cost_usd: float | None = None

    @classmethod
    def of(cls, name: str, score: Score, duration_s: float, cost_usd: float | None) -> Tried:
        """A case with its score."""
        return cls(
            name=name, is_passed=score.is_passed, why=score.why, points=score.points,
            duration_s=round(duration_s, 3), cost_usd=cost_usd,
        )  # fmt: skip


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All cases of an evaluation of `agent`; `suite` is the SHA-256 of the file."""

    agent: str
    way: Literal["cases", "replay"]
    suite: str
    must_pass: float
    tried: tuple[Tried, ...]

    @property
    def passed(self) -> int:
        """How many passed."""
        return sum(one.is_passed for one in self.tried)

    @property
    def is_passed(self) -> bool:
        """Whether enough of them passed."""
        return self.passed >= self.must_pass * len(self.tried)

    @property
    def cost_usd(self) -> float | None:
        """What they cost together; None as soon as one of them is not known."""
        costs = [one.cost_usd for one in self.tried]
        known = [cost for cost in costs if cost is not None]
        return round(sum(known), 6) if len(known) == len(costs) else None

    def lines(self) -> list[str]:
        """For a person: a line for each case that did not pass, and one of all."""
        failed = [f"FAILED {harmless(one.name)}: {harmless(one.why)}" for one in self.tried if not one.is_passed]
        cost = "cost unknown" if self.cost_usd is None else f"{self.cost_usd:.4f} USD"
        return [*failed, f"eval: {self.agent} passed {self.passed} of {len(self.tried)} cases, {cost}"]

    def record(self, proposal: str = "", digest: str = "") -> Evaluation:
        """The record of it; of an agent as a proposal would make it, where one is named."""
        failed = [one.name for one in self.tried if not one.is_passed]
        return Evaluation(
            agent=self.agent, way=self.way, suite=self.suite, cases=len(self.tried), passed=self.passed,
            made_at_ns=time.time_ns(), nonce=ulid(time.time_ns(), os.urandom(10)), proposal=proposal, digest=digest,
            cost_usd=self.cost_usd, summary=_shortened(failed),
        )  # fmt: skip


def _shortened(failed: Sequence[str]) -> str:
    return f"not passed: {', '.join(failed)}"[:500] if failed else ""
