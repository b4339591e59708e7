"""The pool of models of one `llm` section, whose calls and breakers are on the trail."""

from __future__ import annotations

from typing import Final

from agents import llm
from agents.llm.pool.circuit import State
from agents.runtime.answering.paying import note_call
from bus.audit.emit import Audit
from schemas.agent import Llm

_EVENTS: Final[dict[State, str]] = {
    "open": "llm.left_alone",
    "half-open": "llm.tried_again",
    "closed": "llm.taken_back",
}


def pool_of(section: Llm, audit: Audit, instead: llm.Provider | None = None) -> llm.Pool:
    """The models that the section names, or `instead` in their place; close it at the end. Raises as `Pool.from_choices`."""

    def on_call(report: llm.CallReport) -> None:
        usage = report.usage
        cost_usd = None if report.cost_usd is None else round(float(report.cost_usd), 9)
        note_call(report)
        audit.emit(
            "llm.called", action="complete", resource=f"{report.provider}/{report.model}", outcome=report.outcome,
            reason=report.reason, duration_ms=round(report.duration_ms, 3),
            metadata={
                "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "cost_usd": cost_usd,
            },
        )  # fmt: skip

    def on_breaker(where: str, state: State, cause: str) -> None:
        audit.emit(_EVENTS[state], action="ask", resource=where, reason=cause)

    failover = llm.Failover(breaker=section.breaker, on_breaker=on_breaker)
    if instead is not None:
        return llm.Pool.of(instead, request_timeout_s=section.request_timeout_s, on_call=on_call, failover=failover)
    return llm.Pool.from_choices(
        section.pool,
        request_timeout_s=section.request_timeout_s,
        on_call=on_call,
        failover=failover,
        cache=section.cache,
    )
