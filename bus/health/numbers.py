"""The numbers of one process, by the table of metrics. Nothing here is shared between processes, or between tests.

    numbers = Numbers()
    numbers.add("agent_requests_total", ("SendMessage", "success"))
    numbers.observe("agent_request_duration_seconds", 0.012, ("SendMessage",))
    numbers.looks.append(lambda: [Sample("agent_requests_queued", (), 3)])      # asked for when somebody reads

Guarantees: a metric has at most so many different label values; what comes after those is counted as `other`. Kept as
plain dictionaries, since an event costs some microseconds and counting it may not cost much of that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from bus.health.metrics import METRICS, SECONDS, Metric

MOST_SERIES: Final = 200
OTHER: Final = "other"
Labels = tuple[str, ...]


class Sample(NamedTuple):
    """One value of a gauge, or of a counter that somebody else counts."""

    name: str
    labels: Labels
    value: float


Look = Callable[[], Iterable[Sample]]


class Histogram:
    """Counts by bucket, each alone; the last one has no upper bound."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


class Numbers:
    """What one process has counted so far."""

    def __init__(self) -> None:
        self.values: dict[str, dict[Labels, float]] = {
            metric.name: _begun(metric) for metric in METRICS if metric.kind != "histogram"
        }
        self.histograms: dict[str, dict[Labels, Histogram]] = {
            metric.name: {} for metric in METRICS if metric.kind == "histogram"
        }
        self.looks: list[Look] = []

    def add(self, name: str, labels: Labels = (), by: float = 1) -> None:
        """Count `by` more."""
        series = self.values[name]
        try:
            series[labels] += by
        except KeyError:
            labels = _bounded(series, labels)
            series[labels] = series.get(labels, 0.0) + by

    def set(self, name: str, labels: Labels, value: float) -> None:
        """The value is this now."""
        series = self.values[name]
        series[_bounded(series, labels)] = value

    def observe(self, name: str, seconds: float, labels: Labels = ()) -> None:
        """Count one that took so long."""
        series = self.histograms[name]
        found = series.get(labels)
        if found is None:
            found = series.setdefault(_bounded(series, labels), Histogram())
        found.add(seconds)

    def look(self) -> None:
        """Bring up to date what is only known by looking, and the sums."""
        for metric in METRICS:
            if metric.sum_of is not None:
                self.values[metric.name][()] = self._sum(*metric.sum_of)
        for look in self.looks:
            for sample in look():
                self.set(*sample)

    def _sum(self, name: str, values: frozenset[str] | None) -> float:
        series = self.values[name].items()
        return sum(value for labels, value in series if values is None or labels[-1] in values)


def _begun(metric: Metric) -> dict[Labels, float]:
    """A counter without labels is 0 from the start: what first appears as 1 has no increase to be seen."""
    return {(): 0.0} if metric.kind in {"counter", "untyped"} and not metric.labels else {}


def _bounded(series: dict[Labels, float] | dict[Labels, Histogram], labels: Labels) -> Labels:
    return labels if len(series) < MOST_SERIES or labels in series else (OTHER,) * len(labels)
