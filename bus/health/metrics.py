"""Every number that a process tells to Prometheus: its name, what it counts, and by what it is told apart.

Labels have few values each: names of the fleet's files and words of ours, nothing that callers or models make up.
Each sample has one more label: `agent` where the name begins with `agent_`, else `process`.

`agent_requests_successful` and `agent_requests_failed` are counters; their names, which others know them by, lack the
`_total` that Prometheus wants of its type, so they are told as untyped.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "untyped", "gauge", "histogram"]
AGENT: Final = "agent"
EVERY: Final = "every process"
SEALER: Final = "sealer"
WITNESS: Final = "witnesses"
APPROVALS: Final = "approval service"
APPLIER: Final = "applier"
SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of every histogram's buckets."""


class Metric(NamedTuple):
    """One row. `of` says which processes have it; `sum_of` of which other one it is the sum, where the last label has
    one of these values, or any."""

    name: str
    kind: Kind
    of: str
    meaning: str
    labels: tuple[str, ...] = ()
    sum_of: tuple[str, frozenset[str] | None] | None = None


_OUTCOME = ("outcome",)
_MODEL = ("provider", "model")
_REQUESTS = "agent_requests_total"
_TOKENS = "agent_llm_tokens_total"
_NO_SUCCESS = frozenset({"failure", "denied", "unknown"})
METRICS: Final = (
    Metric(_REQUESTS, "counter", AGENT, "requests that were answered or refused", ("operation", "outcome")),
    Metric("agent_requests_successful", "untyped", AGENT, "requests that were answered", (), (_REQUESTS, frozenset({"success"}))),
    Metric("agent_requests_failed", "untyped", AGENT, "requests that were refused or ended in an error", (), (_REQUESTS, _NO_SUCCESS)),
    Metric("agent_request_duration_seconds", "histogram", AGENT, "from a request's arrival to its answer", ("operation",)),
    Metric("agent_requests_in_flight", "gauge", AGENT, "requests and tasks at work"),
    Metric("agent_requests_queued", "gauge", AGENT, "requests that wait for a place"),
    Metric("agent_streams_open", "gauge", AGENT, "streams to callers that are open"),
    Metric("agent_tasks_in_flight", "gauge", AGENT, "durable tasks at work"),
    Metric("agent_tasks_pending", "gauge", AGENT, "durable tasks that wait in the stream, as of the last one taken"),
    Metric("agent_tasks_total", "counter", AGENT, "tasks by the state that they entered", ("state",)),
    Metric("agent_calls_total", "counter", AGENT, "requests to other agents, by how they ended", _OUTCOME),
    Metric("agent_active_sessions", "gauge", AGENT, "conversations with a model that are under way"),
    Metric("agent_context_cleanups_total", "counter", AGENT, "conversations whose oldest turns were put away for room"),
    Metric("agent_llm_calls_total", "counter", AGENT, "calls of models", (*_MODEL, "outcome")),
    Metric("agent_llm_call_duration_seconds", "histogram", AGENT, "calls of models", _MODEL),
    Metric(_TOKENS, "counter", AGENT, "tokens by model; kind: input, output", (*_MODEL, "kind")),
    Metric("agent_tokens_used_total", "counter", AGENT, "tokens of all models, in and out", (), (_TOKENS, None)),
    Metric("agent_llm_cost_total", "counter", AGENT, "US dollars, where the price is known", _MODEL),
    Metric("agent_llm_unpriced_total", "counter", AGENT, "calls of models whose cost nobody knows", _MODEL),
    Metric("agent_tool_calls_total", "counter", AGENT, "tools that ran", ("tool", "outcome")),
    Metric("agent_tool_duration_seconds", "histogram", AGENT, "tools that ran", ("tool",)),
    Metric("agent_tools_refused_total", "counter", AGENT, "calls of tools that were not run"),
    Metric(
        "agent_breaker_state", "gauge", AGENT,
        "0 closed, 1 half open, 2 open; kind: agent, model, tool; of those that ever opened", ("kind", "name"),
    ),
    Metric("agentbus_info", "gauge", EVERY, "always 1", ("version",)),
    Metric("agentbus_ready", "gauge", EVERY, "1 while `/health/ready` answers 200, else 0"),
    Metric("agentbus_component_state", "gauge", EVERY, "0 ok, 1 degraded, 2 failed", ("component",)),
    Metric("agentbus_events_total", "counter", EVERY, "audit events by type; what a full spool refused too", ("type",)),
    Metric("agentbus_audit_spool_events", "gauge", EVERY, "events that are not on the stream yet"),
    Metric("agentbus_audit_spool_fill_ratio", "gauge", EVERY, "how full the audit spool is, 0 to 1"),
    Metric("agentbus_audit_lag_seconds", "gauge", EVERY, "how long the oldest of those events has waited"),
    Metric("agentbus_connected", "gauge", EVERY, "1 while there is a server at the other end", ("connection",)),
    Metric("agentbus_reconnects_total", "counter", EVERY, "how often a connection was made anew", ("connection",)),
    Metric("agentbus_loop_lateness_seconds", "gauge", EVERY, "the latest timer of the last half minute"),
    Metric("agentbus_proposals_open", "gauge", APPROVALS, "proposals that wait for votes, or to be put in force"),
    Metric("agentbus_votes_total", "counter", APPROVALS, "votes, by whether they were counted", _OUTCOME),
    Metric("agentbus_applies_total", "counter", APPLIER, "approved changes; outcome: applied, rolled_back, refused", _OUTCOME),
    Metric("agentbus_apply_duration_seconds", "histogram", APPLIER, "from the first step of a change to its end"),
    Metric("agentbus_checkpoint_age_seconds", "gauge", SEALER, "how long ago the last checkpoint was signed"),
    Metric("agentbus_checkpoint_size", "gauge", SEALER, "messages of the trail that it covers"),
    Metric("agentbus_unsealed_messages", "gauge", SEALER, "messages since then that want the next one"),
    Metric("agentbus_witness_cosigns", "gauge", SEALER, "1 while a witness cosigns, 0 while it does not", ("witness",)),
    Metric("agentbus_cosigned_total", "counter", WITNESS, "checkpoints by the status of the answer; 200 is cosigned", ("status",)),
    Metric("agentbus_cosigned_size", "gauge", WITNESS, "messages that the last cosigned checkpoint covers"),
)  # fmt: skip
BY_NAME: Final = {metric.name: metric for metric in METRICS}
