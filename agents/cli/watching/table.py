"""What `agentbus top` shows of two moments. No I/O: numbers in, lines out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agents.observing.numbers import Numbers


@dataclass(frozen=True, slots=True)
class Moment:
    """Everybody's numbers at one time, in seconds of a clock that only goes on."""

    at_s: float
    numbers: Sequence[Numbers]


@dataclass(frozen=True, slots=True)
class Row:
    """One process between two moments. Rates are per second; `busy` is the share of one processor."""

    name: str
    word: str
    busy: float
    memory_mib: float
    requests_per_s: float
    failures_per_s: float
    in_flight: int
    queued: int
    tasks_waiting: int
    cost_usd: float
    spooled: int
    lateness_s: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """The whole between two moments. `checkpoint_age_s` is negative where no sealer says one."""

    rows: Sequence[Row]
    proposals_open: int
    unsealed: int
    checkpoint_age_s: float
    cost_usd: float

    @property
    def amiss(self) -> list[Row]:
        """Who is not ready."""
        return [row for row in self.rows if row.word != "ready"]


def between(before: Moment, now: Moment) -> Fleet:
    """What happened from one moment to the next. A process that began anew has no rates of its old numbers."""
    took_s = max(now.at_s - before.at_s, 1e-6)
    old = {numbers.process.name: numbers for numbers in before.numbers}
    rows = [_row(old.get(numbers.process.name, numbers), numbers, took_s) for numbers in now.numbers]
    sealers = [numbers for numbers in now.numbers if "agentbus_checkpoint_age_seconds" in numbers.values]
    return Fleet(
        rows=rows,
        proposals_open=int(sum(numbers["agentbus_proposals_open"] for numbers in now.numbers)),
        unsealed=int(sum(numbers["agentbus_unsealed_messages"] for numbers in now.numbers)),
        checkpoint_age_s=max((numbers["agentbus_checkpoint_age_seconds"] for numbers in sealers), default=-1.0),
        cost_usd=sum(row.cost_usd for row in rows),
    )


def _row(before: Numbers, now: Numbers, took_s: float) -> Row:
    def rate(name: str) -> float:
        return max(0.0, now[name] - before[name]) / took_s

    return Row(
        name=now.process.name,
        word=now.word,
        busy=rate("process_cpu_seconds_total"),
        memory_mib=now["process_resident_memory_bytes"] / 2**20,
        requests_per_s=rate("agent_requests_total"),
        failures_per_s=rate("agent_requests_failed"),
        in_flight=int(now["agent_requests_in_flight"]),
        queued=int(now["agent_requests_queued"]),
        tasks_waiting=int(now["agent_tasks_pending"]),
        cost_usd=now["agent_llm_cost_total"],
        spooled=int(now["agentbus_audit_spool_events"]),
        lateness_s=now["agentbus_loop_lateness_seconds"],
    )


_COLUMNS: Sequence[tuple[str, int, int, Callable[[Row], str]]] = (
    ("STATE", 10, 0, lambda row: row.word),
    ("CPU%", 6, 0, lambda row: f"{row.busy * 100:.0f}"),
    ("MEM MiB", 9, 3, lambda row: f"{row.memory_mib:.0f}"),
    ("REQ/S", 8, 0, lambda row: f"{row.requests_per_s:.1f}"),
    ("FAIL/S", 8, 0, lambda row: f"{row.failures_per_s:.1f}"),
    ("RUNS", 6, 1, lambda row: str(row.in_flight)),
    ("QUEUED", 8, 2, lambda row: str(row.queued)),
    ("TASKS", 7, 0, lambda row: str(row.tasks_waiting)),
    ("COST $", 9, 4, lambda row: f"{row.cost_usd:.2f}"),
    ("SPOOL", 7, 0, lambda row: str(row.spooled)),
    ("LATE S", 6, 5, lambda row: f"{row.lateness_s:.2f}"),
)
"""Each with its width, and when it goes where the terminal is narrow: the highest first, 0 never."""


def lines(fleet: Fleet, title: str, width: int | None = None) -> list[str]:
    """The view: two lines on the whole, a head, a line for each process; who is amiss comes first.

    Columns are left out until a line has at most `width` characters.
    """
    seal = f"checkpoint {fleet.checkpoint_age_s:.0f} s old" if fleet.checkpoint_age_s >= 0 else "no checkpoint"
    rows = sorted(fleet.rows, key=lambda row: row.word == "ready")
    first = max([len("PROCESS"), *(len(row.name) for row in rows)]) + 2
    columns = _that_fit((width or sys.maxsize) - first)
    head = f"{'PROCESS':<{first}}" + "".join(f"{name:<{wide}}" for name, wide, _, _ in columns)
    table = [f"{row.name:<{first}}" + "".join(f"{cell(row):<{wide}}" for _, wide, _, cell in columns) for row in rows]
    return [
        f"{title}: {len(fleet.rows) - len(fleet.amiss)} of {len(fleet.rows)} ready",
        f"{fleet.proposals_open} proposals open, {fleet.unsealed} unsealed, {seal}, {fleet.cost_usd:.2f} $",
        head.rstrip(),
        *(line.rstrip() for line in table),
    ]


def _that_fit(width: int) -> Sequence[tuple[str, int, int, Callable[[Row], str]]]:
    columns = list(_COLUMNS)
    while sum(wide for _, wide, _, _ in columns) > width and any(goes for _, _, goes, _ in columns):
        columns.remove(max(columns, key=lambda column: column[2]))
    return columns


def as_json(fleet: Fleet) -> dict[str, Any]:
    """The same for a machine."""
    return asdict(fleet)
