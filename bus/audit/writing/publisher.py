"""Sends what waits in the spool, in order, one batch at a time, for as long as the process runs.

States of a batch: waiting → sent → confirmed. *Sent* without a confirmation is never guessed about:
the slot's last events are read back, and the batch is confirmed (its last event is there), waiting
again (the stream has not moved), or fenced (the stream holds somebody else's event). Where the server says
that it has an id of the batch and the stream has not moved, the id is somebody else's: the batch waits again,
under fresh ids that nobody can know before, and the trail says so after it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from bus.audit.writing.head import Head, Start, write_head
from bus.audit.writing.spool import Entry, Spool, sync
from bus.audit.writing.store import IdTaken, NotStored, SlotStore
from bus.errors import AuditFenced, AuditUnavailable
from schemas.errors import A2AError

_log = structlog.get_logger("audit")
FLUSH_EVENTS: Final = 100
MAX_BATCH_EVENTS: Final = 960
"""The server takes 1000 messages in a batch, and each event may need one of its own. Under load a batch costs its way
to the server and back, whatever is in it, so this is what bounds the requests that a worker can answer."""
MAX_BATCH_BYTES: Final = 1024 * 1024
_SYNC_AFTER_S = 0.1
_BACKLOG_NS = 5_000_000_000


@dataclass(slots=True)
class Backlog:
    """How many events waited how long in the outage that is ending."""

    events: int = 0
    waited_ns: int = 0


class Publisher:
    """One slot's way to the stream. Everything here runs on one event loop."""

    def __init__(self, store: SlotStore, spool: Spool, start: Start, directory: Path) -> None:
        self._store = store
        self._spool = spool
        self._directory = directory
        self._pending: deque[Entry] = deque(start.pending)
        self._fence = start.fence
        self._durable = 0
        """The last event that the spool was made durable with."""
        self._wake = asyncio.Event()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.confirmed = start.pending[0].counter - 1 if start.pending else start.counter
        self.problem: AuditUnavailable | None = None
        """Why nothing can be written any more; set once, never taken back."""
        self.backlog = Backlog()
        self.now: Callable[[], int] = lambda: 0
        self.on_stopped: Callable[[AuditUnavailable], None] = lambda _: None
        self.on_caught_up: Callable[[Backlog], None] = lambda _: None
        self.on_ids_taken: Callable[[int], None] = lambda _: None
        """Called when so many events got onto the stream of which somebody else had taken an id."""
        self._salt = ""
        """Makes the ids of a batch fresh whose own were taken; empty for any other."""
        if start.pending:
            self._wake.set()

    @property
    def oldest_ns(self) -> int:
        """When the oldest event that is not on the stream was emitted; 0 when there is none."""
        return self._pending[0].time_ns if self._pending else 0

    def put(self, entries: Sequence[Entry], linger_s: float) -> None:
        """Take events that the spool has; they are sent within `linger_s`, or earlier with a full batch."""
        self._pending.extend(entries)
        if linger_s <= 0 or len(self._pending) >= FLUSH_EVENTS:
            self._wake.set()
        elif self._timer is None:
            self._timer = self._loop.call_later(linger_s, self._wake.set)

    def flush(self) -> None:
        """Send now."""
        self._wake.set()

    async def wait(self, counter: int) -> None:
        """Return when the event `counter` is on the stream.

        Raises:
            AuditUnavailable: nothing will be written any more.
        """
        if self.problem:
            raise self.problem
        if self.confirmed >= counter:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((counter, future))
        self._wake.set()
        await future

    async def run(self) -> None:
        """Send until cancelled, or until the slot is lost."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._timer:
                    self._timer.cancel()
                    self._timer = None
                target = self._pending[-1].counter if self._pending else 0
                while self._pending and self._pending[0].counter <= target:
                    await self._send_one()
        except AuditUnavailable as problem:
            self._fail(problem)

    async def _send_one(self) -> None:
        """Get the next batch confirmed, whatever it takes; for as long as that takes, the spool is made durable."""
        sending = asyncio.ensure_future(self._until_confirmed())
        try:
            while not sending.done():
                await asyncio.wait((sending,), timeout=_SYNC_AFTER_S)
                if not sending.done():
                    await self._sync()
            sending.result()
        finally:
            sending.cancel()

    async def _until_confirmed(self) -> None:
        attempt = 0
        batch = self._next_batch()
        while not await self._attempt(batch):
            attempt += 1
            await asyncio.sleep(min(1.0, 0.05 * 2 ** min(attempt, 5)) * random.uniform(0.5, 1.0))  # noqa: S311  jitter
            batch = self._next_batch()
            if not batch:
                return

    def _next_batch(self) -> list[Entry]:
        batch: list[Entry] = []
        size = 0
        for entry in self._pending:
            size += len(entry.data)
            if batch and (len(batch) == MAX_BATCH_EVENTS or size > MAX_BATCH_BYTES):
                break
            batch.append(entry)
        return batch

    async def _attempt(self, batch: list[Entry]) -> bool:
        try:
            sequence = await self._store.append(batch, self._fence, self._salt)
        except (A2AError, NotStored) as error:
            _log.warning("audit.batch_unconfirmed", events=len(batch), reason=str(error))
            return await self._settle(is_taken=isinstance(error, IdTaken))
        self._confirm(batch[-1], sequence)
        return True

    async def _settle(self, *, is_taken: bool) -> bool:
        """Find out what became of a batch; whether the stream moved on through an event of ours.

        Where an id `is_taken`, the stream is expected to have moved, by an earlier try: that it has not is believed
        only when every copy had the time to hear of it.
        """
        try:
            lasts = await self._store.lasts(self._fence + is_taken)
        except A2AError:
            return False
        last = max(lasts, key=lambda head: head.stream_sequence, default=None)
        if last is None or last.stream_sequence <= self._fence:
            found = last.stream_sequence if last else 0
            if found < self._fence:
                _log.error("audit.stream_lost_its_tail", had=self._fence, has=found)
                self._fence = found
            elif is_taken:
                _log.error("audit.duplicate_refused", slot=self._store.producer.slot_prefix, after=self._fence)
                self._salt = secrets.token_hex(16)
            return False
        ours = {entry.digest: entry for entry in self._pending}.get(last.sha256)
        if ours is None:
            raise AuditFenced(
                f"somebody else wrote event {last.counter} to {self._store.producer.fence} (stream sequence "
                f"{last.stream_sequence}): a second process on this slot, or a stolen key; this one stops writing"
            )
        self._confirm(ours, last.stream_sequence)
        return True

    def _confirm(self, last: Entry, sequence: int) -> None:
        waited_since_ns, before, had_fresh_ids = self.now() - _BACKLOG_NS, len(self._pending), bool(self._salt)
        while self._pending and self._pending[0].counter <= last.counter:
            entry = self._pending.popleft()
            if entry.time_ns < waited_since_ns:
                self.backlog.events += 1
                self.backlog.waited_ns = max(self.backlog.waited_ns, waited_since_ns + _BACKLOG_NS - entry.time_ns)
        self._fence, self.confirmed = sequence, last.counter
        slot = self._store.producer.slot_prefix
        self._tidy(Head(slot=slot, counter=last.counter, sha256=last.digest, stream_sequence=sequence))
        self._wake_waiters()
        self._salt = ""
        if had_fresh_ids:
            self.on_ids_taken(before - len(self._pending))
        if self.backlog.events and not self._pending:
            ended, self.backlog = self.backlog, Backlog()
            self.on_caught_up(ended)

    def _tidy(self, head: Head) -> None:
        """Keep the head, then cut the spool; on a disk that the spool itself has filled, the other way round."""
        try:
            try:
                write_head(self._directory, head)
            except OSError:
                self._spool.cut(head.counter)
                write_head(self._directory, head)
            else:
                self._spool.cut(head.counter)
        except OSError as error:
            _log.warning("audit.spool_not_cut", reason=str(error))  # sent again never: the stream is asked first

    def _wake_waiters(self) -> None:
        for _, future in (due := [waiter for waiter in self._waiters if waiter[0] <= self.confirmed]):
            if not future.done():
                future.set_result(None)
        self._waiters = [waiter for waiter in self._waiters if waiter not in due and not waiter[1].done()]

    async def _sync(self) -> None:
        last = self._pending[-1].counter if self._pending else self._durable
        if last == self._durable:
            return
        try:
            await asyncio.to_thread(sync, self._spool.duplicate())
            self._durable = last
        except OSError as error:
            raise AuditUnavailable(f"the audit spool cannot be made durable: {error}") from None

    def ended(self, task: asyncio.Task[None]) -> None:
        """The sending task is over; a defect in it must not look like a slow server."""
        if not task.cancelled() and (error := task.exception()):
            self._fail(AuditUnavailable(f"the audit publisher failed: {type(error).__name__}: {error}"))

    def _fail(self, problem: AuditUnavailable) -> None:
        self.problem = problem
        _log.error("audit.stopped", reason=str(problem))
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(problem)
                future.exception()  # its waiter may be gone
        self._waiters.clear()
        self.on_stopped(problem)
