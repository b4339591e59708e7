"""What the run is judged by: the state that a caller sees, the trail, and the file of effects.

Delivery is at least once, so a handler may run again after its worker was killed in the middle; that is
counted apart, as information. What may not happen: an acknowledged task without an end, a completed task
without an effect, an end that is stored twice, a run that begins after the end was stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import datetime

from bus.audit.packing import unpacked
from bus.audit.read import Reader
from bus.audit.trust import load_trust
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from bus.connection import Connection
from schemas import a2a, names
from schemas.audit import AuditEvent, decode_event
from schemas.ids import task_id
from tests.chaos.load import Load
from tests.chaos.stage import AGENT, Stage

_EXPLAINED = 5
"""Of so many offending tasks the facts are printed."""
_ENDS = frozenset({"completed", "failed", "canceled", "rejected"})


@dataclass(frozen=True)
class Verdict:
    """The counts of one load. `lost`, `duplicate_effects` and `hung` must be 0; those after them are information.

    `redelivered` tasks went to a second worker, `repeats` are the runs beyond a task's first.
    """

    acknowledged: int
    lost: int
    duplicate_effects: int
    hung: int
    redelivered: int
    repeats: int
    not_completed: int

    @classmethod
    def sum_of(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """All of them together."""
        return cls(*map(sum, zip(*map(astuple, verdicts), strict=True)))


class Judge:
    """Reads the trail as the auditor, from where it stopped the last time."""

    def __init__(self, stage: Stage, auditor: Connection) -> None:
        self._stage = stage
        self._reader = Reader(auditor)
        self._next = 1
        self._stored: dict[str, list[int]] = defaultdict(list)
        """When an end was stored, by task: each time is after the storing, as the event is emitted after it."""

        self._redelivered: set[str] = set()

    @classmethod
    async def open(cls, stage: Stage) -> Judge:
        """Connect."""
        inbox = names.inbox_prefix("auditor")
        return cls(stage, await stage.bench.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=inbox))

    async def verdict(self, load: Load) -> Verdict:
        """Judge one load by everything that is known now."""
        await self._read_on()
        runs = self._runs()
        lost = [task for task, name in load.acknowledged.items() if _is_lost(load, task, runs[name])]
        twice = [task for task, name in load.acknowledged.items() if is_twice(self._stored[task], runs[name])]
        self._explain(load, lost + twice, runs)
        return Verdict(
            acknowledged=len(load.acknowledged),
            lost=len(lost),
            duplicate_effects=len(twice),
            hung=load.hung,
            redelivered=len(self._redelivered & load.acknowledged.keys()),
            repeats=sum(max(0, len(runs[name]) - 1) for name in load.acknowledged.values()),
            not_completed=sum(status.state != a2a.COMPLETED for status in load.ends.values()),
        )

    def _explain(self, load: Load, offending: list[str], runs: dict[str, list[int]]) -> None:
        for task in offending[:_EXPLAINED]:
            facts = (
                f"ends stored {self._stored[task]}, runs {runs[load.acknowledged[task]]}, seen {load.ends.get(task)}"
            )
            print(f"  {task} {load.acknowledged[task]}: {facts}", flush=True)

    async def trail(self) -> str:
        """What the audit's verifier says of the trail of the whole run: `sound`, or what it found."""
        stage = self._stage
        heads = find_heads(stage.bench.home.root / "state")
        report = await verify_stream(self._reader, load_trust(stage.bench.home.trust), heads)
        return " ".join([report.verdict, *map(str, report.findings)])

    async def _read_on(self) -> None:
        async for record in self._reader.records(self._next):
            self._next = record.sequence + 1
            for payload in unpacked(record.payload):
                self._note(decode_event(payload))

    def _note(self, event: AuditEvent) -> None:
        if event.short_type == "task.redelivered":
            self._redelivered.add(task_id(int(event.data.metadata["sequence"])))
        if event.short_type == "task.changed" and event.data.action in _ENDS:
            self._stored[event.data.resource.removeprefix(f"{AGENT}/")].append(after_ns(event.time))

    def _runs(self) -> dict[str, list[int]]:
        """When each run that left its line began, by name."""
        runs: dict[str, list[int]] = defaultdict(list)
        for line in self._stage.effects.read_text().splitlines():
            name, began_ns, _pid = line.split()
            runs[name].append(int(began_ns))
        return runs


def _is_lost(load: Load, task: str, runs: list[int]) -> bool:
    end = load.ends.get(task)
    return end is None or (end.state == a2a.COMPLETED and not runs)


def is_twice(stored: list[int], runs: list[int]) -> bool:
    """Whether an end was stored twice, or a run began after the end was stored; all are times in nanoseconds."""
    return len(stored) > 1 or any(began_ns > stored_ns for began_ns in runs for stored_ns in stored)


def after_ns(timestamp: str) -> int:
    """The first nanosecond after a time that is written down to the millisecond."""
    return (round(datetime.fromisoformat(timestamp).timestamp() * 1000) + 1) * 1_000_000
