"""Where events begin: made, chained to the one before, and put in the spool, all within microseconds.

    audit = await Audit.open(connection, producer, credential, directory)
    audit.emit("request.received", actor="ops", action="SendMessage", size=120)
    audit.emit("tool.intended", action="send_mail")
    await audit.confirm()          # raises AuditUnavailable: then the tool must not run

Guarantees: an event that `emit` took is sent once, in order, by this process or the next one on the
same directory; after `confirm` it is on the stream, on the server's disk. Not guaranteed: that an
emitted event is on the stream when `emit` returns, nor, before `confirm`, that it survives a power
cut of this host: what waits is made durable a tenth of a second after its turn to be sent has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Required, TypedDict, Unpack

import structlog
from msgspec import UNSET

from bus import trace as tracing
from bus.audit.event import Happened, Plain, exact_bytes
from bus.audit.producer import Producer
from bus.audit.writing.head import Head, read_head, reconcile
from bus.audit.writing.publisher import Backlog, Publisher
from bus.audit.writing.spool import Entry, Spool
from bus.audit.writing.store import SlotStore
from bus.audit.writing.withheld import Withheld
from bus.connection import Connection
from bus.credentials import Credential
from bus.errors import AuditUnavailable
from schemas.audit import (
    CATALOGUE,
    AuditEvent,
    EventType,
    Outcome,
    digest,
    severity_text,
)
from schemas.audit_metadata import Keys
from schemas.errors import A2AError
from schemas.ids import rfc3339, ulid

_log = structlog.get_logger("audit")
SPOOL_BYTES: Final = 64 * 1024 * 1024
LINGER_S: Final = 0.05
ALIVE_S: Final = 3600.0
"""A producer that has nothing to tell says so as often as this, so that silence means something."""
_MILLISECONDS = [f"{number:03d}Z" for number in range(1000)]
_BEHIND, _CATCH_UP_S = 4096, 1.0
"""Events that may wait in memory before work is slowed down to the stream's pace, and for how long it is."""
THROTTLE_FILL: Final = 0.8
"""Above so much of the spool work is slowed down, and no durable task begun: what is done must be told, and there is
hardly room to tell it."""


class Facts(TypedDict, total=False):
    """What `Audit.emit` takes: see `Happened`."""

    action: Required[str]
    actor: str
    resource: str
    outcome: Outcome
    reason: str
    duration_ms: float | None
    size: int | None
    payload_sha256: str
    payload: bytes
    metadata: Mapping[str, Plain | None]
    trace: tracing.Trace | None


def _ignore(_: AuditUnavailable) -> None:
    """Nobody asked to be told."""


def _uncounted(_: Sequence[Happened]) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`on_stopped` is called once, on the event loop, when nothing can be written any more, because another process took
    the slot or the disk lost what it had: leave then; the next process sends what can be sent.

    `on_emitted` is told of everything that happened, also of what a full spool does not take; it must not raise."""

    now: Callable[[], int] = time.time_ns
    on_stopped: Callable[[AuditUnavailable], None] = _ignore
    on_emitted: Callable[[Sequence[Happened]], None] = _uncounted
    spool_bytes: int = SPOOL_BYTES
    linger_s: float = LINGER_S
    open_timeout_s: float = 10.0
    alive_s: float = ALIVE_S


class _Row(NamedTuple):
    """A row of the catalogue as this producer writes it."""

    name: str
    severity: int
    text: str
    subject: str
    linger_s: float
    keys: Keys

    @classmethod
    def of(cls, row: EventType, producer: Producer, options: Options) -> _Row:
        """For events of `producer`."""
        linger_s = 0.0 if row.is_urgent else options.linger_s
        subject = producer.subject(row.domain)
        return cls(row.name, row.severity, severity_text(row.severity), subject, linger_s, row.metadata)


class Audit:
    """The events of one producer's slot. Use it from the event loop it was opened on."""

    def __init__(self, producer: Producer, spool: Spool, publisher: Publisher, options: Options) -> None:
        self.producer = producer
        self.epoch = ulid(options.now(), os.urandom(10))
        """Names this process's run in each of its events; with the counter it is the event's id."""
        self._source = producer.source
        self._spool = spool
        self._publisher = publisher
        self._options = options
        self._rows = {kind: _Row.of(row, producer, options) for kind, row in CATALOGUE.items()}
        self._withheld = Withheld()
        self._counter = 0
        self._prev = ""
        self._second = -1
        self._second_text = ""
        self._task: asyncio.Task[None] | None = None
        self._alive: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls,
        connection: Connection,
        producer: Producer,
        credential: Credential,
        directory: Path,
        options: Options | None = None,
    ) -> Audit:
        """Continue the slot's chain: from the stream, from what an earlier process left in `directory`.

        `connection` belongs to the producer's own account; `credential` signs (`audit.nk`).

        Raises:
            AuditFenced: another process uses `directory`.
            AuditUnavailable: the stream does not answer, or the spool cannot be used; what it holds stays in it.
        """
        options = options or Options()
        spool = Spool(directory / "spool", options.spool_bytes)
        try:
            store = SlotStore(connection, producer, credential)
            head = read_head(directory)
            lasts = await _ask_for(store, head, options.open_timeout_s)
            spooled = _load(spool)
            start = reconcile(lasts, head, spooled)
            audit = cls(producer, spool, Publisher(store, spool, start, directory), options)
            audit._counter, audit._prev = start.counter, start.digest
            if start.is_contradicted:
                audit._set_aside(len(spooled))
            elif spooled:
                _cut(spool, start.pending[0].counter - 1 if start.pending else start.counter)
            if spool.damaged:
                audit._report_damage(spool.damaged)
        except BaseException:
            spool.close()
            raise
        audit._begin()
        return audit

    @property
    def fill(self) -> float:
        """How full the spool is, 0 to 1."""
        return self._spool.fill

    @property
    def is_filling(self) -> bool:
        """Whether the spool is so full that less work should be taken on."""
        return self._spool.fill > THROTTLE_FILL

    @property
    def waiting(self) -> int:
        """How many events are not on the stream yet."""
        return self._counter - self._publisher.confirmed

    def lag_s(self, now_ns: int) -> float:
        """How long the oldest of them has waited; 0 when none does."""
        oldest_ns = self._publisher.oldest_ns
        return max(0.0, (now_ns - oldest_ns) / 1e9) if oldest_ns else 0.0

    @property
    def problem(self) -> AuditUnavailable | None:
        """Why nothing can be written any more, if so."""
        return self._publisher.problem

    def emit(self, kind: str, **facts: Unpack[Facts]) -> str:
        """Write down that `kind` (a short name of the catalogue) happened; return the event's id. Never waits.

        Raises:
            KeyError: `kind` is not in the catalogue.
            AuditUnavailable: the spool is full or cannot be written; nothing was written down.
            AuditFenced: this process has lost the slot.
        """
        return self.emit_all([Happened(kind=kind, **facts)])[0]

    def emit_all(self, happened: Sequence[Happened]) -> list[str]:
        """`emit` for many at once, which costs less each; all are written down, or none. Returns their ids."""
        return self._write(happened, self._spool.append)

    def _write(self, happened: Sequence[Happened], append: Callable[[Sequence[Entry]], None]) -> list[str]:
        if not happened:
            return []
        self._options.on_emitted(happened)
        if self._publisher.problem:
            raise self._publisher.problem
        now_ns, here = self._options.now(), tracing.current()
        time_text, counter, prev, linger_s = self._time(now_ns), self._counter, self._prev, self._options.linger_s
        entries: list[Entry] = []
        withheld: list[tuple[str, str]] = []
        for one in happened:
            row, trace = self._rows[one.kind], one.trace or here
            counter += 1
            data = exact_bytes(AuditEvent(
                id=f"{self.epoch}.{counter}", source=self._source, type=row.name, time=time_text,
                sequence=counter, prev=prev, epoch=self.epoch,
                severitynumber=row.severity, severitytext=row.text,
                data=one.data(self.producer.name, row.keys, withheld), subject=one.resource or UNSET,
                traceparent=trace.traceparent if trace else UNSET,
                correlationid=trace.correlation if trace else UNSET,
                causationid=(trace.causation or UNSET) if trace else UNSET,
            ))  # fmt: skip
            prev = digest(data)
            entries.append(Entry(counter, now_ns, row.subject, prev, data))
            linger_s = min(linger_s, row.linger_s)
        append(entries)
        self._counter, self._prev = counter, prev
        self._publisher.put(entries, linger_s)
        if withheld:
            self._tell_withheld(withheld)
        return [f"{self.epoch}.{entry.counter}" for entry in entries]

    @property
    def is_behind(self) -> bool:
        """Whether so much of what was emitted is not on the stream yet that one should wait before emitting more."""
        return self.is_filling or self._counter - self._publisher.confirmed > _BEHIND

    async def catch_up(self) -> None:
        """Wait until it is not behind any more; a second at most, for then the stream is away and the spool takes it.

        What cannot be written any more is for the next `emit` to say.
        """
        enough = self._counter if self.is_filling else self._counter - _BEHIND // 2
        with contextlib.suppress(TimeoutError, AuditUnavailable):
            async with asyncio.timeout(_CATCH_UP_S):
                await self._publisher.wait(enough)

    async def confirm(self, timeout_s: float = 10) -> None:
        """Return when everything emitted so far is on the stream.

        Raises:
            AuditUnavailable: not within `timeout_s`; what was emitted will still be sent, but do not act on it.
            AuditFenced: this process has lost the slot.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._publisher.wait(self._counter)
        except TimeoutError:
            raise AuditUnavailable(
                f"the audit stream did not confirm within {timeout_s:g} s; is the server up and its disk well?"
            ) from None

    async def close(self, timeout_s: float = 5) -> None:
        """Send what can be sent within `timeout_s`; the rest stays in the spool for the next process."""
        with contextlib.suppress(AuditUnavailable):
            await self.confirm(timeout_s)
        if self._alive:
            self._alive.cancel()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._spool.close()

    def _set_aside(self, events: int) -> None:
        kept = self._spool.path.with_suffix(f".{self.epoch}")
        told = Happened(
            kind="audit.set_aside",
            action="open",
            outcome="unknown",
            reason="the stream holds other events in the place of these",
            metadata={"events": events, "file": kept.name},
        )
        self._write([told], lambda entries: self._spool.set_aside(kept, entries))
        _log.error("audit.set_aside", events=events, file=str(kept))

    def _report_damage(self, kept: Path) -> None:
        size = kept.stat().st_size
        _log.error("audit.spool_damaged", bytes=size, file=str(kept))
        self.emit(
            "audit.spool_damaged",
            action="open",
            outcome="unknown",
            reason="the end of the spool cannot be read: a write was cut short, or the file was damaged",
            metadata={"bytes": size, "file": kept.name},
        )

    def _begin(self) -> None:
        self._publisher.now = self._options.now
        self._publisher.on_stopped = self._options.on_stopped
        self._publisher.on_caught_up = self._report
        self._publisher.on_ids_taken = self._report_taken
        self._task = asyncio.create_task(self._publisher.run(), name=f"audit {self.producer.slot_prefix}")
        self._task.add_done_callback(self._publisher.ended)
        self._look_again(self._counter)

    def _look_again(self, told: int) -> None:
        self._alive = asyncio.get_running_loop().call_later(self._options.alive_s, self._say_alive, told)

    def _say_alive(self, told: int) -> None:
        """Say that this process is there, unless it has said something else since `told`."""
        if self._counter == told:
            with contextlib.suppress(AuditUnavailable):
                self.emit("process.alive", action="run")
        self._look_again(self._counter)

    def _tell_withheld(self, withheld: list[tuple[str, str]]) -> None:
        events = self._withheld.to_tell(withheld)
        with contextlib.suppress(AuditUnavailable):  # told with the next one
            self.emit_all(events)
            self._withheld.told(events)

    def _report(self, ended: Backlog) -> None:
        waited_s = round(ended.waited_ns / 1e9, 3)
        with contextlib.suppress(AuditUnavailable):
            self.emit("audit.backlog", action="send", metadata={"events": ended.events, "waited_s": waited_s})

    def _report_taken(self, events: int) -> None:
        with contextlib.suppress(AuditUnavailable):  # the log has it
            self.emit(
                "audit.duplicate_refused",
                action="send",
                outcome="denied",
                reason="somebody else's message had the id of one of these; they are stored under fresh ids",
                metadata={"events": events},
            )

    def _time(self, now_ns: int) -> str:
        second, rest_ns = divmod(now_ns, 1_000_000_000)
        if second != self._second:  # a date is dear to write; most events share their second with another
            self._second, self._second_text = second, rfc3339(now_ns)[:-4]
        return self._second_text + _MILLISECONDS[rest_ns // 1_000_000]


def _load(spool: Spool) -> list[Entry]:
    try:
        return spool.load()
    except OSError as error:
        raise AuditUnavailable(f"the audit spool {spool.path} cannot be read: {error}") from None


def _cut(spool: Spool, through: int) -> None:
    try:
        spool.cut(through)
    except OSError as error:
        _log.warning("audit.spool_not_cut", reason=str(error))  # sent again never: the stream is asked first


async def _ask_for(store: SlotStore, head: Head | None, timeout_s: float) -> list[Head]:
    """The slot's last events, asked for until the server answers; `head` is what was known the last time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return await store.lasts(head.stream_sequence if head else 0)
        except A2AError as error:
            if time.monotonic() > deadline:
                raise AuditUnavailable(
                    f"the audit stream cannot be read for {store.producer.slot_prefix}: {error}; "
                    "is the fleet provisioned with this producer?"
                ) from None
            await asyncio.sleep(0.2)
