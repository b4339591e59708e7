"""Numbers in the formats that Prometheus reads.

This module is imported when somebody first asks for `/metrics`: the library costs 3 MiB in each process that has it
(measured), and a process that nobody scrapes goes without. It comes with standard numbers of the process itself
(`process_resident_memory_bytes`, `process_cpu_seconds_total`, …), where `/proc` may be read.

Source: Prometheus text format 0.0.4, OpenMetrics 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from bus.health import metrics
from bus.health.metrics import METRICS, SECONDS
from bus.health.numbers import Histogram, Labels, Numbers

_OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
_BOUNDS = (*map(floatToGoString, SECONDS), "+Inf")


class Exposition:
    """Of the numbers of one process. `agent` and `process` are the values of the label that every sample has."""

    def __init__(self, numbers: Numbers, agent: str, process: str) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._registry.register(_Numbers(numbers, agent, process))
        ProcessCollector(registry=self._registry)

    def written(self, accept: str) -> tuple[bytes, str]:
        """The numbers of this moment in a format that the reader accepts, and its media type."""
        kinds = {one.partition(";")[0].strip() for one in accept.split(",")}
        # what the reader says of versions goes no further: the library compares it, and writes it into the media type
        write, media_type = choose_encoder(_OPEN_METRICS if _OPEN_METRICS.partition(";")[0] in kinds else "")
        return write(self._registry), media_type


class _Numbers(Collector):
    def __init__(self, numbers: Numbers, agent: str, process: str) -> None:
        self._numbers = numbers
        self._agent = agent
        self._process = process

    def collect(self) -> Iterable[Metric]:
        """Everything that this process has to tell."""
        self._numbers.look()
        for metric in METRICS:
            if not self._agent and metric.of == metrics.AGENT:
                continue
            label, value = ("agent", self._agent) if metric.name.startswith("agent_") else ("process", self._process)
            names = (label, *metric.labels)
            if metric.kind == "histogram":
                family: Metric | None = _histogram(metric, names, value, self._numbers.histograms[metric.name])
            else:
                family = _plain(metric, names, value, self._numbers.values[metric.name])
            if family is not None:
                yield family


def _plain(metric: metrics.Metric, names: Labels, value: str, series: dict[Labels, float]) -> Metric | None:
    if not series:
        return None
    family = _FAMILIES[metric.kind](metric, names)
    name = metric.name
    for labels, number in series.items():
        family.add_sample(name, dict(zip(names, (value, *labels), strict=True)), number)
    return family


_FAMILIES: dict[str, Callable[[metrics.Metric, Labels], Metric]] = {
    "counter": lambda metric, names: CounterMetricFamily(metric.name, metric.meaning, labels=names),
    "gauge": lambda metric, names: GaugeMetricFamily(metric.name, metric.meaning, labels=names),
    "untyped": lambda metric, _: Metric(metric.name, metric.meaning, "unknown"),
}


def _histogram(metric: metrics.Metric, names: Labels, value: str, series: dict[Labels, Histogram]) -> Metric | None:
    if not series:
        return None
    family = HistogramMetricFamily(metric.name, metric.meaning, labels=names)
    for labels, histogram in series.items():
        counts = accumulate(histogram.counts)
        family.add_metric((value, *labels), list(zip(_BOUNDS, counts, strict=True)), histogram.total)
    return family
