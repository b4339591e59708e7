"""Audit events as numbers, and numbers as Prometheus reads them."""

from __future__ import annotations

import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from bus.audit.event import Happened, Plain
from bus.health.exposition import Exposition
from bus.health.from_events import FromEvents
from bus.health.http import Asked
from bus.health.metrics import AGENT, BY_NAME, METRICS, SECONDS
from bus.health.metrics_page import MetricsPage
from bus.health.numbers import MOST_SERIES, Numbers, Sample
from schemas.audit import CATALOGUE, Outcome
from tests.harness.needs import needs_promtool

Read = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(numbers: Numbers, agent: str = "greeter") -> Read:
    """Every sample as a Prometheus server would have it, without the label that all have."""
    body, media_type = Exposition(numbers, agent, "agent-greeter").written("")
    assert media_type.startswith("text/plain")
    return {
        (
            sample.name,
            frozenset(pair for pair in sample.labels.items() if pair[0] not in {"agent", "process"}),
        ): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def at(found: Read, name: str, /, **labels: str) -> float | None:
    """One sample."""
    return found.get((name, frozenset(labels.items())))


def counted(*happened: Happened, operations: tuple[str, ...] = ("SendMessage",)) -> Read:
    """What is read after these."""
    numbers = Numbers()
    counts = FromEvents(numbers)
    counts.operations = frozenset(operations)
    counts.count(happened)
    return read(numbers)


def event(
    kind: str, action: str = "x", *, resource: str = "", outcome: Outcome = "success", ms: float | None = None,
    **metadata: Plain | None,
) -> Happened:  # fmt: skip
    """What happened."""
    assert {key.rstrip("_") for key in metadata} <= CATALOGUE[kind].metadata.keys()
    named = {key.rstrip("_"): value for key, value in metadata.items()}
    return Happened(kind=kind, action=action, resource=resource, outcome=outcome, duration_ms=ms, metadata=named)


def test_requests() -> None:
    """Answered, refused, refused many times at once, and an operation that a caller made up."""
    found = counted(
        event("request.answered", "SendMessage", ms=12.0),
        event("request.answered", "SendMessage", ms=700.0),
        event("request.refused", "SendMessage", outcome="failure", ms=1.0),
        event("request.refused", "SendMessage", outcome="denied", requests=40),
        event("request.refused", "DropTables", outcome="denied"),
    )
    assert at(found, "agent_requests_total", operation="SendMessage", outcome="success") == 2
    assert at(found, "agent_requests_total", operation="SendMessage", outcome="failure") == 1
    assert at(found, "agent_requests_total", operation="SendMessage", outcome="denied") == 40
    assert at(found, "agent_requests_total", operation="other", outcome="denied") == 1
    assert (at(found, "agent_requests_successful"), at(found, "agent_requests_failed")) == (2, 42)
    duration = "agent_request_duration_seconds"
    assert at(found, f"{duration}_count", operation="SendMessage") == 3
    assert at(found, f"{duration}_sum", operation="SendMessage") == pytest.approx(0.713)
    bounds = ("0.001", "0.01", "0.05", "1.0", "+Inf")
    buckets = [at(found, f"{duration}_bucket", operation="SendMessage", le=bound) for bound in bounds]
    assert buckets == [1, 1, 2, 3, 3]
    assert "DropTables" not in str(found)
    assert at(found, "agentbus_events_total", type="request.refused") == 3


def test_models() -> None:
    """Calls, tokens, dollars; a cost that nobody knows is not 0."""
    found = counted(
        event("llm.called", resource="openai/gpt-x", ms=900, input_tokens=100, output_tokens=20, cost_usd=0.25),
        event("llm.called", resource="openai/gpt-x", outcome="failure", ms=10, input_tokens=1, output_tokens=None),
        event("llm.left_alone", "ask", resource="openai/gpt-x"),
    )
    of = {"provider": "openai", "model": "gpt-x"}
    assert at(found, "agent_llm_calls_total", **of, outcome="success") == 1
    assert at(found, "agent_llm_tokens_total", **of, kind="input") == 101
    assert at(found, "agent_llm_tokens_total", **of, kind="output") == 20
    assert at(found, "agent_tokens_used_total") == 121
    assert at(found, "agent_llm_cost_total", **of) == 0.25
    assert at(found, "agent_llm_unpriced_total", **of) == 1
    assert at(found, "agent_llm_call_duration_seconds_count", **of) == 2
    assert at(found, "agent_breaker_state", kind="model", name="openai/gpt-x") == 2


def test_conversations() -> None:
    """Those under way are counted; one that ends before it began is none."""
    begun = event("conversation.stepped", from_="start_conversation", to="send_message")
    between = event("conversation.stepped", from_="send_message", to="process_response")
    ended = event("conversation.stepped", from_="process_response", to="end_conversation")
    stillborn = event("conversation.stepped", from_="start_conversation", to="end_conversation")
    assert at(counted(begun, begun, between, stillborn), "agent_active_sessions") == 2
    assert at(counted(begun, between, ended), "agent_active_sessions") == 0
    assert at(counted(event("memory.compacted"), event("memory.compacted")), "agent_context_cleanups_total") == 2


def test_tools_tasks_and_others() -> None:
    """Tools by name and outcome, refusals without a name that a model may have made up, tasks by state."""
    found = counted(
        event("tool.finished", "bash", ms=30),
        event("tool.finished", "bash", outcome="failure", ms=30),
        event("tool.refused", "rm_rf_everything", outcome="denied"),
        event("breaker.opened", "tool", resource="bash"),
        event("breaker.opened", "ask", resource="textstats"),
        event("breaker.half_opened", "ask", resource="textstats"),
        event("task.changed", "completed"),
        event("request.completed", outcome="failure"),
    )
    assert at(found, "agent_tool_calls_total", tool="bash", outcome="failure") == 1
    assert at(found, "agent_tool_duration_seconds_count", tool="bash") == 2
    assert at(found, "agent_tools_refused_total") == 1
    assert "rm_rf" not in str(found)
    assert at(found, "agent_breaker_state", kind="tool", name="bash") == 2
    assert at(found, "agent_breaker_state", kind="agent", name="textstats") == 1
    assert at(found, "agent_tasks_total", state="completed") == 1
    assert at(found, "agent_calls_total", outcome="failure") == 1


def test_approvals_and_witnesses() -> None:
    """Votes, changes that were put in force or taken back, with the time they took; who cosigns."""
    found = counted(
        event("proposal.voted"),
        event("proposal.vote_refused"),
        event("apply.intended", resource="p-1"),
        event("apply.intended", resource="p-1"),
        event("apply.applied", resource="p-1"),
        event("apply.rolled_back", resource="p-2"),
        event("audit.witnessed", "cosign", resource="witness-a"),
        event("audit.unwitnessed", "cosign", resource="witness-b"),
    )
    assert at(found, "agentbus_votes_total", outcome="counted") == 1
    assert at(found, "agentbus_applies_total", outcome="applied") == 1
    assert at(found, "agentbus_applies_total", outcome="rolled_back") == 1
    assert at(found, "agentbus_apply_duration_seconds_count") == 1
    assert at(found, "agentbus_witness_cosigns", witness="witness-b") == 0


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_event_can_be_counted(kind: str) -> None:
    """Counting never raises, whatever an event holds or lacks."""
    numbers = Numbers()
    counts = FromEvents(numbers)
    counts.count([Happened(kind=kind, action=""), Happened(kind=kind, action="x", metadata={"requests": "many"})])
    assert at(read(numbers), "agentbus_events_total", type=kind) == 2


def test_values_of_labels_are_bounded() -> None:
    """What comes after so many is `other`, of counters, gauges and histograms."""
    numbers = Numbers()
    for number in range(MOST_SERIES + 50):
        numbers.add("agent_tool_calls_total", (f"t{number}", "success"))
        numbers.observe("agent_tool_duration_seconds", 0.1, (f"t{number}",))
        numbers.set("agent_breaker_state", ("agent", f"t{number}"), 2)
    assert numbers.values["agent_tool_calls_total"]["other", "other"] == 50
    assert sum(numbers.histograms["agent_tool_duration_seconds"][("other",)].counts) == 50
    assert len(numbers.values["agent_breaker_state"]) == MOST_SERIES + 1


def test_each_metric_is_sound() -> None:
    """Names once, lower case, counters in `_total`, times in `_seconds`; labels of ours."""
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert metric.name.islower()
        assert metric.name.startswith("agent_" if metric.of == AGENT else "agentbus_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.name.endswith("_seconds") or metric.kind != "histogram"
        assert set(metric.labels).isdisjoint({"agent", "process", "caller"})
    assert list(SECONDS) == sorted(SECONDS)


def test_a_process_that_is_no_agent_has_no_numbers_of_agents() -> None:
    """And each sample says of which process it is."""
    numbers = Numbers()
    numbers.looks.append(lambda: [Sample("agentbus_ready", (), 1)])
    text = Exposition(numbers, "", "sealer").written("")[0].decode()
    assert 'agentbus_ready{process="sealer"} 1.0' in text
    assert "agent_" not in text
    assert "process_resident_memory_bytes" in text


async def test_the_page_speaks_both_formats() -> None:
    """The old text format, and OpenMetrics to who asks for it."""
    numbers = Numbers()
    numbers.add("agent_requests_total", ("SendMessage", "success"))
    numbers.observe("agent_request_duration_seconds", 0.1, ("SendMessage",))
    page = MetricsPage(numbers, "greeter", "agent-greeter")
    plain = await page.answer(Asked("/metrics", {}))
    opened = await page.answer(Asked("/metrics", {}, "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"))
    assert plain.media_type.startswith("text/plain; version=")
    assert opened.media_type.startswith("application/openmetrics-text")
    assert opened.body.endswith(b"# EOF\n")
    names = {family.name for family in open_metrics(opened.body.decode())}  # type: ignore[no-untyped-call]
    assert {"agent_requests", "agent_request_duration_seconds"} <= names
    for odd in ("version=x", "version=99.0.0", "version=1_0;escaping=dots"):
        answer = await page.answer(Asked("/metrics", {}, f"application/openmetrics-text;{odd}"))
        assert (answer.status, answer.media_type) == (200, opened.media_type)


@needs_promtool
def test_promtool_finds_nothing() -> None:
    """Prometheus's own linter accepts everything that can be told."""
    numbers = Numbers()
    for metric in METRICS:
        labels = tuple(f"some-{label}" for label in metric.labels)
        if metric.kind == "histogram":
            numbers.observe(metric.name, 0.2, labels)
        else:
            numbers.set(metric.name, labels, 1)
    body = Exposition(numbers, "greeter", "agent-greeter").written("")[0]
    said = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, b"")
