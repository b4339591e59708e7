"""The sealer: reads the trail as it grows and publishes a signed checkpoint of it again and again.

Each checkpoint says: these many messages, with this root. It goes to the witnesses, to the stream (`audit.seal`) and
to a file. Checkpoints are messages of the same stream, so each one covers those before it; they, and the sealer's own
events, are no reason to seal anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from bus.audit.producer import Producer
from bus.audit.read import Reader, Record
from bus.audit.seal.cosigners import Cosigned, Cosigners
from bus.audit.seal.sealed_log import SealedLog
from bus.audit.tlog.errors import Malformed
from bus.audit.tlog.leaf import Leaf
from bus.connection import Connection
from bus.errors import NotProvisioned, SealContradicted, TrailBroken
from bus.files import replace_durably
from bus.jetstream import ApiError, store
from schemas import names, subjects
from schemas.errors import DeadlineExceeded, Unavailable, UnknownOutcome

_log = structlog.get_logger("sealer")
CHECKPOINT: Final = "checkpoint"
LOG: Final = "log"
"""Files and folders in the sealer's state."""
_OWN = Producer(names.SEALER, "0", is_agent=False).prefix
_AWAY = (Unavailable, DeadlineExceeded, UnknownOutcome, NotProvisioned, ApiError)


@dataclass(frozen=True, slots=True)
class Pace:
    """A checkpoint after so many new messages or so long after the first of them; one without any each `idle_s`.

    That a stream was cut is believed when it stays so for `believe_s`: a server that led it before may not know the end.
    """

    messages: int = 1000
    interval_s: float = 10.0
    idle_s: float = 3600.0
    poll_s: float = 1.0
    believe_s: float = 5.0


def _ignore(_: Cosigned) -> None:
    """Nobody asked to be told."""


class Sealer:
    """`connection` may read the trail and publish checkpoints; `on_cosigned` is told what the witnesses said."""

    def __init__(
        self,
        connection: Connection,
        log: SealedLog,
        cosigners: Cosigners,
        file: Path,
        pace: Pace = Pace(),
        on_cosigned: Callable[[Cosigned], None] = _ignore,
    ) -> None:
        self._connection = connection
        self._reader = Reader(connection)
        self._log = log
        self._cosigners = cosigners
        self._file = file
        self._pace = pace
        self._on_cosigned = on_cosigned
        self.untold: list[bytes] = []
        """Hand-overs of keys, in order, that the stream may not have: published before anything is signed."""
        self._fence = 0
        self.unsealed = 0
        """How many messages since the last checkpoint are a reason for the next one."""
        self._due_at = time.monotonic() + pace.idle_s
        self._doubted_since = 0.0
        self._turn = asyncio.Lock()  # one reading at a time: messages are taken in order

    async def run(self) -> None:
        """Seal without end; an outage is waited out.

        Raises:
            SealContradicted: the stream is not what was sealed.
            OSError: the disk refuses.
        """
        await self._cosigners.start()
        while True:
            try:
                async with self._turn:
                    await self.catch_up()
                    await self.hand_over()
                    if self._is_due():
                        await self.seal()
            except _AWAY as error:
                _log.warning("sealer.waits", reason=str(error))
            await asyncio.sleep(self._pace.poll_s)

    @property
    def late_s(self) -> float:
        """For how long a checkpoint has been due; 0 when none is."""
        return max(0.0, time.monotonic() - self._due_at)

    async def finish(self) -> None:
        """Seal what is not sealed yet, before the process ends; when the server is away, the next run does it.

        Raises:
            SealContradicted: as `run`.
        """
        try:
            async with self._turn:
                await self.catch_up()
                await self.hand_over()
                if self.unsealed and self._may_seal():
                    await self.seal()
        except _AWAY as error:
            _log.warning("sealer.not_finished", reason=str(error))

    async def catch_up(self) -> None:
        """Read what the stream holds now, from the message that was read last: that one must still be there.

        Raises:
            SealContradicted: as `run`. Unavailable, DeadlineExceeded, NotProvisioned: the stream cannot be read now.
        """
        known, last = self._log.size, (await self._reader.bounds()).last
        doubt: SealContradicted | None = None
        try:
            async for record in self._reader.records(max(1, known), until=last):
                if known:
                    self._log.require_last(_leaf(record))
                    known = 0
                else:
                    self._take(record)
        except TrailBroken as error:
            doubt = SealContradicted(error.sequence, error.problem)
        self._weigh(doubt or self._cut(last))

    async def hand_over(self) -> None:
        """Publish the hand-overs that the stream does not have, before anything is signed with a new key.

        Raises:
            Unavailable, UnknownOutcome, ApiError: one may not be on the stream; it is published the next time.
        """
        while self.untold and self._may_seal(of=0):
            self._fence = await self._publish(self.untold[0])
            del self.untold[0]

    async def seal(self) -> None:
        """Sign what was read, have it witnessed, and publish it.

        Raises:
            Unavailable, UnknownOutcome, ApiError: it is signed, and may not be on the stream; the next one covers it.
        """
        note = self._log.seal()
        self.unsealed, self._due_at = 0, time.monotonic() + self._pace.idle_s
        cosigned = await self._cosigners.cosign(note, self._log)
        whole = bytes(note.signed(*cosigned.signatures))
        replace_durably(self._file, whole)
        self._on_cosigned(cosigned)
        await self._publish(whole)
        _log.info("sealer.sealed", size=self._log.size, witnesses=len(cosigned.signatures))

    async def _publish(self, note: bytes) -> int:
        expected = {names.EXPECTED_SUBJECT_SEQUENCE: str(self._fence)}
        return await store(self._connection, subjects.SEAL, note, headers=expected)

    def _cut(self, last: int) -> SealContradicted | None:
        try:
            self._log.require_whole(last)
        except SealContradicted as error:
            return error
        return None

    def _weigh(self, doubt: SealContradicted | None) -> None:
        """Doubt a stream that seems cut; it is read on meanwhile, so what stands in the place of the rest is seen."""
        now = time.monotonic()
        self._doubted_since = (self._doubted_since or now) if doubt else 0.0
        if doubt and now - self._doubted_since > self._pace.believe_s:
            raise doubt

    def _take(self, record: Record) -> None:
        leaf = _leaf(record)
        is_new = self._log.is_checked
        self._log.add(leaf)
        if leaf.subject == subjects.SEAL.encode():
            self._fence = leaf.sequence
            self._log.require_ours(record.payload)
            self.untold = [one for one in self.untold if one != record.payload]
        elif is_new and not leaf.subject.startswith(_OWN.encode()):
            if not self.unsealed:
                self._due_at = min(self._due_at, time.monotonic() + self._pace.interval_s)
            self.unsealed += 1

    def _is_due(self) -> bool:
        is_time = self.unsealed >= self._pace.messages or time.monotonic() >= self._due_at
        return is_time and self._may_seal()

    def _may_seal(self, of: int = 1) -> bool:
        """Not before the last message on the sealer's own subject was read, which may be a hand-over of its key."""
        return self._log.is_checked and self._log.size >= max(of, self._fence) and not self._doubted_since


def _leaf(record: Record) -> Leaf:
    try:
        return Leaf.of_answer(record.block, record.payload)
    except Malformed as error:
        raise SealContradicted(record.sequence, f"stream sequence {record.sequence} cannot be read: {error}") from None
