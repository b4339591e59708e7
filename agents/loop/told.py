"""The steps of a conversation on the audit trail: where it stands, never what was said."""

from __future__ import annotations

import asyncio

from bus.audit.emit import Audit
from schemas.audit import Outcome

from .conversation import OnStep, Stepped, Sums
from .table import Trigger


def steps_on(audit: Audit, agent: str, caller: str) -> OnStep:
    """Tells the trail of each step of a conversation of `agent` that `caller` asked for."""

    def tell(step: Stepped) -> None:
        before, trigger, after = step.transition
        sums = step.sums
        audit.emit(
            "conversation.stepped", actor=agent, action=trigger.value, resource=caller,
            outcome=_OUTCOMES.get(trigger, "success"), reason=_reason(step.error),
            metadata={"from": before.value, "to": after.value, "round": step.round, **({
                "input_tokens": sums.input_tokens, "output_tokens": sums.output_tokens, "cost_usd": _usd(sums),
                "tool_calls": sums.tool_calls,
            } if sums else {})},
        )  # fmt: skip

    return tell


_OUTCOMES: dict[Trigger, Outcome] = {Trigger.FAILED: "failure", Trigger.CANCELLED: "unknown"}


def _reason(error: BaseException | None) -> str:
    """The kind alone: a text may repeat what somebody wrote."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return ""
    return type(error).__name__


def _usd(sums: Sums) -> float | None:
    return None if sums.cost_usd is None else round(float(sums.cost_usd), 9)
