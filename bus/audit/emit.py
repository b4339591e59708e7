"""Where events begin: made, chained to the one before, and put in the spool, all within microseconds.

    audit = await Audit.open(connection, producer, credential, directory)
    audit.emit("request.received", actor="ops", action="SendMessage", size=120)
    audit.emit("tool.intended", action="send_mail")
    await audit.confirm()          # raises AuditUnavailable: then the tool must not run

Guarantees: an event that `emit` took is sent once, in order, by this process or the next one on the
same directory; after `confirm` it is on the stream, on the server's disk. Not guaranteed: that an
emitted event is on the stream when `emit` returns, nor, before `confirm`, that it survives a power
cut of this host within the first tenth of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Required, TypedDict, Unpack

import msgspec
import structlog
from msgspec import UNSET

from bus import trace as tracing
from bus.audit.head import Head, read_head, reconcile
from bus.audit.producer import Producer
from bus.audit.publisher import Backlog, Publisher
from bus.audit.spool import Entry, Spool
from bus.audit.store import SlotStore
from bus.connection import Connection
from bus.credentials import Credential
from bus.errors import AuditFenced, AuditUnavailable
from schemas.audit import (
    CATALOGUE,
    AuditEvent,
    EventData,
    EventType,
    Outcome,
    digest,
    encode_event,
    severity_text,
)
from schemas.errors import A2AError
from schemas.ids import rfc3339, sha256_hex, ulid
from schemas.names import MAX_AUDIT_EVENT_BYTES

_log = structlog.get_logger("audit")
Plain = str | int | float | bool
SPOOL_BYTES: Final = 64 * 1024 * 1024
LINGER_S: Final = 0.05
MAX_TEXT: Final = 1000
"""Longer texts in an event are cut, with `…` at the end."""
_MAX_METADATA = 40
_MILLISECONDS = [f"{number:03d}Z" for number in range(1000)]
_BEHIND, _CATCH_UP_S = 4096, 1.0
"""Events that may wait in memory before work is slowed down to the stream's pace, and for how long it is."""
_HEADROOM_BYTES = 2048
"""What the headers of a stored event may take of the stream's message limit."""


class Facts(TypedDict, total=False):
    """What happened. `actor` is the producer unless given; of a `payload` only size and digest are kept."""

    action: Required[str]
    actor: str
    resource: str
    outcome: Outcome
    reason: str
    duration_ms: float | None
    size: int | None
    payload_sha256: str
    payload: bytes
    metadata: Mapping[str, Plain]


def _ignore(_: AuditFenced) -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`on_fenced` is called once, on the event loop, when another process took the slot: leave then."""

    now: Callable[[], int] = time.time_ns
    on_fenced: Callable[[AuditFenced], None] = _ignore
    spool_bytes: int = SPOOL_BYTES
    linger_s: float = LINGER_S
    open_timeout_s: float = 10.0


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
        self._subjects = {row.domain: producer.subject(row.domain) for row in CATALOGUE.values()}
        self._counter = 0
        self._prev = ""
        self._second = -1
        self._second_text = ""
        self._task: asyncio.Task[None] | None = None

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
            AuditUnavailable: the stream does not answer, or the spool cannot be used.
        """
        options = options or Options()
        spool = Spool(directory / "spool", options.spool_bytes)
        try:
            store = SlotStore(connection, producer, credential)
            head = read_head(directory)
            lasts = await _ask_for(store, head, options.open_timeout_s)
            spooled = spool.load()
        except BaseException:
            spool.close()
            raise
        start = reconcile(lasts, head, spooled)
        audit = cls(producer, spool, Publisher(store, spool, start, directory), options)
        audit._begin(start.counter, start.digest)
        if start.is_contradicted:
            audit._set_aside(len(spooled))
        elif spooled:
            spool.cut(start.pending[0].counter - 1 if start.pending else start.counter)
        return audit

    @property
    def fill(self) -> float:
        """How full the spool is, 0 to 1; take less work on before it is 1."""
        return self._spool.fill

    @property
    def problem(self) -> AuditUnavailable | None:
        """Why nothing can be written any more, if so."""
        return self._publisher.problem

    def emit(self, kind: str, *, trace: tracing.Trace | None = None, **facts: Unpack[Facts]) -> str:
        """Write down that `kind` (a short name of the catalogue) happened; return the event's id. Never waits.

        Raises:
            KeyError: `kind` is not in the catalogue.
            AuditUnavailable: the spool is full or cannot be written; nothing was written down.
            AuditFenced: this process has lost the slot.
        """
        row = CATALOGUE[kind]
        if self._publisher.problem:
            raise self._publisher.problem
        now_ns = self._options.now()
        event = self._event(row, now_ns, _data(self.producer.name, facts), trace or tracing.current())
        data = _encoded(event)
        entry = Entry(event.sequence, now_ns, self._subjects[row.domain], digest(data), data)
        self._spool.append(entry)
        self._counter, self._prev = entry.counter, entry.digest
        self._publisher.put(entry, 0 if row.is_urgent else self._options.linger_s)
        return event.id

    @property
    def is_behind(self) -> bool:
        """Whether so much of what was emitted is not on the stream yet that one should wait before emitting more."""
        return self._counter - self._publisher.confirmed > _BEHIND

    async def catch_up(self) -> None:
        """Wait until it is not behind any more; a second at most, for then the stream is away and the spool takes it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_S):
                await self._publisher.wait(self._counter - _BEHIND // 2)

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
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._spool.close()

    def _set_aside(self, events: int) -> None:
        kept = self._spool.set_aside(self.epoch)
        _log.error("audit.set_aside", events=events, file=str(kept))
        self.emit(
            "audit.set_aside",
            action="open",
            outcome="unknown",
            reason="the stream holds other events in the place of these",
            metadata={"events": events, "file": kept.name},
        )

    def _begin(self, counter: int, last_digest: str) -> None:
        self._counter, self._prev = counter, last_digest
        self._publisher.now = self._options.now
        self._publisher.on_fenced = self._options.on_fenced
        self._publisher.on_caught_up = self._report
        self._task = asyncio.create_task(self._publisher.run(), name=f"audit {self.producer.slot_prefix}")
        self._task.add_done_callback(self._publisher.ended)

    def _report(self, ended: Backlog) -> None:
        waited_s = round(ended.waited_ns / 1e9, 3)
        with contextlib.suppress(AuditUnavailable):
            self.emit("audit.backlog", action="send", metadata={"events": ended.events, "waited_s": waited_s})

    def _time(self, now_ns: int) -> str:
        second, rest_ns = divmod(now_ns, 1_000_000_000)
        if second != self._second:  # a date is dear to write; most events share their second with another
            self._second, self._second_text = second, rfc3339(now_ns)[:-4]
        return self._second_text + _MILLISECONDS[rest_ns // 1_000_000]

    def _event(self, row: EventType, now_ns: int, data: EventData, trace: tracing.Trace | None) -> AuditEvent:
        return AuditEvent(
            id=f"{self.epoch}.{self._counter + 1}",
            source=self._source,
            type=row.name,
            time=self._time(now_ns),
            sequence=self._counter + 1,
            prev=self._prev,
            epoch=self.epoch,
            severitynumber=row.severity,
            severitytext=severity_text(row.severity),
            data=data,
            subject=data.resource or UNSET,
            traceparent=trace.traceparent if trace else UNSET,
            correlationid=trace.correlation if trace else UNSET,
            causationid=(trace.causation or UNSET) if trace else UNSET,
        )


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


def _data(actor: str, facts: Facts) -> EventData:
    payload = facts.get("payload")
    resource, reason, metadata = facts.get("resource"), facts.get("reason"), facts.get("metadata")
    return EventData(
        actor=_short(facts.get("actor") or actor),
        action=_short(facts["action"]),
        outcome=facts.get("outcome", "success"),
        resource=_short(resource) if resource else "",
        reason=_short(reason) if reason else "",
        duration_ms=facts.get("duration_ms"),
        size=facts.get("size") if payload is None else len(payload),
        payload_sha256=facts.get("payload_sha256", "") if payload is None else sha256_hex(payload),
        metadata=_plain(metadata) if metadata else {},
    )


def _short(text: str) -> str:
    if text.isascii() and len(text) <= MAX_TEXT:
        return text
    text = text.encode(errors="replace").decode()  # there may be half a surrogate pair, from somebody's JSON
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _plain(metadata: Mapping[str, Plain]) -> dict[str, Plain]:
    """Only what every reader can read back: no infinite numbers, no huge ones, nothing nested."""
    few = list(metadata.items())[:_MAX_METADATA]
    return {_short(str(key)): _plain_value(value) for key, value in few}


def _plain_value(value: Plain) -> Plain:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    return value if isinstance(value, bool | int | float) else _short(str(value))


def _encoded(event: AuditEvent) -> bytes:
    """The event's bytes, always within the stream's limit: where they are too many, the metadata goes."""
    data = encode_event(event)
    if len(data) <= MAX_AUDIT_EVENT_BYTES - _HEADROOM_BYTES:
        return data
    marker: dict[str, Plain] = {"metadata_dropped": len(event.data.metadata)}
    return encode_event(msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, metadata=marker)))
