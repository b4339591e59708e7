"""A process's own audit events as numbers: what is told is counted, in one place, and nowhere else.

A table of event type to what it counts. Counted is what happened, also where a full spool refused to take the event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from bus.audit.event import Happened
from bus.health.numbers import OTHER, Numbers
from schemas.audit import CATALOGUE, ERROR

_BREAKER: Final = {
    "breaker.closed": 0.0, "breaker.half_opened": 1.0, "breaker.opened": 2.0,
    "llm.taken_back": 0.0, "llm.tried_again": 1.0, "llm.left_alone": 2.0,
}  # fmt: skip
_START, _END = "start_conversation", "end_conversation"
_MOST_CHANGES: Final = 100
ALERTED: Final = (*(kind for kind, row in CATALOGUE.items() if row.severity >= ERROR), "task.given_up")
"""Events that somebody is told of: 0 from the start, so that the first one is an increase."""


class FromEvents:
    """Counts into `numbers`. `operations` are those of the agent: what else is asked for is `other`."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self.operations: frozenset[str] = frozenset()
        self._conversations = 0
        for kind in ALERTED:
            numbers.add("agentbus_events_total", (kind,), 0)
        self._changes: dict[str, float] = {}
        """When the first step of each change was taken that has not ended."""
        self._table: dict[str, Callable[[Happened], None]] = {
            "request.answered": self._answered,
            "request.refused": self._refused,
            "request.completed": self._completed,
            "task.changed": self._task,
            "llm.called": self._called,
            "conversation.stepped": self._stepped,
            "memory.compacted": self._counting("agent_context_cleanups_total"),
            "tool.finished": self._tool,
            "tool.refused": self._counting("agent_tools_refused_total"),
            **dict.fromkeys(_BREAKER, self._breaker),
            "proposal.voted": self._counting("agentbus_votes_total", "counted"),
            "proposal.vote_refused": self._counting("agentbus_votes_total", "refused"),
            "apply.intended": self._change_begun,
            "apply.applied": self._change_ended("applied"),
            "apply.rolled_back": self._change_ended("rolled_back"),
            "apply.refused": self._change_ended("refused"),
            "audit.witnessed": self._witness(1.0),
            "audit.unwitnessed": self._witness(0.0),
        }

    def count(self, happened: Sequence[Happened]) -> None:
        """Count these. Never raises: what cannot be counted is left out."""
        for one in happened:
            self._numbers.add("agentbus_events_total", (one.kind,))
            if (row := self._table.get(one.kind)) is not None:
                row(one)

    def _operation(self, one: Happened) -> str:
        return one.action if one.action in self.operations else OTHER

    def _answered(self, one: Happened) -> None:
        operation = self._operation(one)
        self._numbers.add("agent_requests_total", (operation, "success"))
        self._timed("agent_request_duration_seconds", one, (operation,))

    def _refused(self, one: Happened) -> None:
        operation = self._operation(one)
        self._numbers.add("agent_requests_total", (operation, one.outcome), _number(one, "requests") or 1)
        self._timed("agent_request_duration_seconds", one, (operation,))

    def _completed(self, one: Happened) -> None:
        self._numbers.add("agent_calls_total", (one.outcome,))

    def _task(self, one: Happened) -> None:
        self._numbers.add("agent_tasks_total", (one.action,))

    def _called(self, one: Happened) -> None:
        provider, _, model = one.resource.partition("/")
        labels = (provider, model)
        self._numbers.add("agent_llm_calls_total", (*labels, one.outcome))
        self._timed("agent_llm_call_duration_seconds", one, labels)
        for key, kind in (("input_tokens", "input"), ("output_tokens", "output")):
            self._numbers.add("agent_llm_tokens_total", (*labels, kind), _number(one, key) or 0)
        cost_usd = _number(one, "cost_usd")
        if cost_usd is None:
            self._numbers.add("agent_llm_unpriced_total", labels)
        else:
            self._numbers.add("agent_llm_cost_total", labels, cost_usd)

    def _stepped(self, one: Happened) -> None:
        metadata = one.metadata or {}
        before, after = metadata.get("from"), metadata.get("to")
        self._conversations += (before == _START and after != _END) - (after == _END and before != _START)
        self._numbers.set("agent_active_sessions", (), max(0, self._conversations))

    def _tool(self, one: Happened) -> None:
        self._numbers.add("agent_tool_calls_total", (one.action, one.outcome))
        self._timed("agent_tool_duration_seconds", one, (one.action,))

    def _breaker(self, one: Happened) -> None:
        kind = "model" if one.kind.startswith("llm.") else "tool" if one.action == "tool" else "agent"
        self._numbers.set("agent_breaker_state", (kind, one.resource), _BREAKER[one.kind])

    def _change_begun(self, one: Happened) -> None:
        if len(self._changes) < _MOST_CHANGES:
            self._changes.setdefault(one.resource, time.monotonic())

    def _change_ended(self, outcome: str) -> Callable[[Happened], None]:
        def ended(one: Happened) -> None:
            self._numbers.add("agentbus_applies_total", (outcome,))
            if (began_s := self._changes.pop(one.resource, None)) is not None:
                self._numbers.observe("agentbus_apply_duration_seconds", time.monotonic() - began_s)

        return ended

    def _witness(self, value: float) -> Callable[[Happened], None]:
        return lambda one: self._numbers.set("agentbus_witness_cosigns", (one.resource,), value)

    def _counting(self, name: str, *labels: str) -> Callable[[Happened], None]:
        return lambda _: self._numbers.add(name, labels)

    def _timed(self, name: str, one: Happened, labels: tuple[str, ...]) -> None:
        if one.duration_ms is not None:
            self._numbers.observe(name, one.duration_ms / 1000, labels)


def _number(one: Happened, key: str) -> float | None:
    value = (one.metadata or {}).get(key)
    return value if isinstance(value, int | float) else None
