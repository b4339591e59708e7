"""What is told of each call of a model."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal

import msgspec

from agents.llm.conversation import Usage

Outcome = Literal["success", "failure", "unknown"]


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one model, however it ended. `model` is the configuration's name for it.

    `reason` is the cause of a failure (`rate`, `timeout`, …) or `cancelled`; then the outcome is
    unknown: the provider may have done and billed the work. A success of reason `cached` was given again by the
    pool's own cache; nobody was called.
    """

    provider: str
    model: str
    outcome: Outcome
    duration_ms: float
    reason: str = ""
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    """None where the price is not known, or where the provider did not count all tokens: unknown is not 0."""


OnCall = Callable[[CallReport], None]


def ignore(_: CallReport) -> None:
    """Nobody asked to be told."""
