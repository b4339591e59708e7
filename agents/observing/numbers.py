"""What each process counts, asked of itself: the numbers that Prometheus would read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from agents.observing.place import Place
from agents.observing.processes import Process, processes_of
from bus.health.asking import ask, doors_of
from schemas.errors import AgentbusError
from schemas.names import NATS_SERVER

_TIMEOUT_S: Final = 1.5
_AT_ONCE: Final = 8
Word = str
"""`ready`, `not ready`, `stuck` (it takes a connection and does not answer), or `down`."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of one process at one moment. `values` are sums over all labels but those that a name here is about."""

    process: Process
    word: Word
    values: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """The value; 0 where the process has no such number."""
        return self.values.get(name, 0.0)


def numbers_of(place: Place) -> Sequence[Numbers]:
    """Of every process that tells any; nats-server tells none."""
    asked = [process for process in processes_of(place.fleet) if process.name != NATS_SERVER]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda process: _of(place, process), asked))


def _of(place: Place, process: Process) -> Numbers:
    doors = doors_of(place.home, process.name)
    if not doors:
        return Numbers(process, "down")
    try:
        told = ask(doors[0], "/metrics", timeout_s=_TIMEOUT_S)
    except TimeoutError:
        return Numbers(process, "stuck")
    except (OSError, AgentbusError):
        return Numbers(process, "down")
    values = _sums(told.text)
    return Numbers(process, "ready" if values.get("agentbus_ready") else "not ready", values)


def _sums(text: str) -> dict[str, float]:
    """Each metric's value over all its labels; of a state, the worst."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                continue
            before = found.get(sample.name, 0.0)
            found[sample.name] = max(before, sample.value) if sample.name.endswith("_state") else before + sample.value
    return found
