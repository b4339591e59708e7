"""The reference page of all numbers, made from the table of metrics."""

from __future__ import annotations

from bus.health.metrics import METRICS, SECONDS, Metric
from bus.health.numbers import MOST_SERIES

_HEAD = f"""\
# Metrics

Every number that a process tells at `/metrics`, in Prometheus's text format or as OpenMetrics. `make schemas` makes this page from `bus/health/metrics.py`, a test keeps it current. Where a process is asked: [HEALTH.md](HEALTH.md).

Each sample has one more label, `agent` where the name begins with `agent_`, else `process`. Labels hold names of the fleet's files and words of the product, never what a caller or a model made up, and at most {MOST_SERIES} different values each; what comes after those is `other`. Beside these there are the standard numbers of a process: `process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_open_fds`, `process_start_time_seconds`.

Most of it is counted from the process's own audit events, so that the trail and the numbers tell the same; counted from the start of the process. The untyped ones are counters whose names lack the `_total` that Prometheus wants of the type. Histograms have the bounds {", ".join(f"{bound:g}" for bound in SECONDS)} s.

"""


def metric_page() -> str:
    """The whole page, as Markdown."""
    return _HEAD + "".join(_section(of) for of in dict.fromkeys(metric.of for metric in METRICS))


def _section(of: str) -> str:
    lines = "".join(_line(metric) for metric in METRICS if metric.of == of)
    return f"## Of {_TITLES.get(of, of)}\n| metric | kind | labels | meaning |\n|---|---|---|---|\n{lines}\n"


_TITLES = {
    "agent": "agents",
    "sealer": "the sealer",
    "approval service": "the approval service",
    "applier": "the applier",
}


def _line(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |\n"
