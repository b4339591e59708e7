"""Reading the trail as one row of messages, whatever streams they lie in; and any other stream.

A trail that was rotated lies in archives and in AUDIT (`bus.audit.archives`). A reader asks AUDIT for the list of them,
looks at each that it comes to, and takes from each the sequences that are its own. It asks again when its connection
was lost: a trail is rotated only while the server is closed to everybody else.

Source: ADR-31 (direct get), measured on nats-server 2.15.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import msgspec

from bus.audit.archives import Archive, Archives, Broken, problem_of, refuse
from bus.audit.fetch import Batches, Record, record_of, stream_info
from bus.audit.packing import unpacked
from bus.connection import Connection
from bus.errors import NotProvisioned
from schemas import names
from schemas.errors import DeadlineExceeded, Unavailable

__all__ = ["Bounds", "Parts", "Reader", "Record", "events_of", "record_of"]

OnBroken = Callable[[Broken], None]


class Bounds(NamedTuple):
    """What the stream says it holds: `first` is `last` + 1 when it is empty. `created` is when the stream was (RFC 3339)."""

    first: int
    last: int
    created: str = ""


class Parts(NamedTuple):
    """A stream with its archives; `seen_at` is how often the connection had been made again when they were seen."""

    bounds: Bounds
    archives: Archives
    seen_at: int


class Reader:
    """Reads a stream, by default AUDIT with its archives, over an auditor's connection. One iteration at a time per reader."""

    def __init__(
        self, connection: Connection, *, stream: str = names.AUDIT, batch: int = 1000, timeout_s: float = 5
    ) -> None:
        self.connection = connection
        self.stream = stream
        self._batch = batch
        self.timeout_s = timeout_s
        self._parts: Parts | None = None

    async def bounds(self) -> Bounds:
        """First and last sequence.

        Raises:
            NotProvisioned: there is no such stream.
            Unavailable, DeadlineExceeded: the server does not say.
        """
        return (await self.parts()).bounds

    async def parts(self) -> Parts:
        """The same, with the archives. Raises as `bounds`."""
        seen_at = self.connection.reconnects
        info = await stream_info(self.connection, self.stream, self.timeout_s)
        first, last = info["state"]["first_seq"], info["state"]["last_seq"]
        archives = Archives.listed(info["config"], last)
        if archives.all:
            first, last = archives.all[0].first, max(last, archives.last)
        self._parts = Parts(Bounds(first, last, info["created"]), archives, seen_at)
        return self._parts

    @property
    def is_current(self) -> bool:
        """Whether the list of archives is still the one that was read last; other streams have none."""
        return self.stream != names.AUDIT or (
            self._parts is not None and self._parts.seen_at == self.connection.reconnects
        )

    async def archives(self) -> Archives:
        """The same as in `parts`, asked for only when it may have changed. Raises as `bounds`."""
        if not self.is_current:
            await self.parts()
        return self._parts.archives if self._parts else Archives()

    async def first_since(self, moment: datetime.datetime) -> int:
        """The sequence of the first record that the server stored at `moment` or later; the next to come if there is none.

        One question to the server, however long the stream is, and one for each archive that is younger.

        Raises:
            Unavailable, DeadlineExceeded: the server does not say.
        """
        bounds, archives, _ = await self.parts()
        found = bounds.last + 1
        streams = [(self.stream, archives.last + 1), *((one.name, one.first) for one in reversed(archives.all))]
        for stream, first in streams:
            sequence = await self._first_since(stream, moment)
            if sequence > first:
                return sequence
            if not sequence:
                break
            found = first  # or what is found is a copy of an earlier one
        return found

    async def _first_since(self, stream: str, moment: datetime.datetime) -> int:
        """The same in one stream; 0 if there is none."""
        body = msgspec.json.encode({"start_time": moment.astimezone(datetime.UTC).isoformat()})
        answer = await self.connection.request(f"$JS.API.DIRECT.GET.{stream}", body, timeout_s=self.timeout_s)
        status = answer.headers.get("Status", "")
        if status and status != "404":
            problem = f"{status} {answer.headers.get('Description', '')}"
            raise Unavailable(f"stream {stream} cannot be read: {problem}; run: agentbus audit verify")
        sequence = answer.headers.get("Nats-Sequence", "")
        return int(sequence) if sequence.isdecimal() else 0

    async def records(
        self,
        start: int = 1,
        *,
        until: int | None = None,
        subject: str = "",
        follow: bool = False,
        poll_s: float = 0.5,
        on_broken: OnBroken = refuse,
    ) -> AsyncIterator[Record]:
        """Every record from sequence `start`, in order, up to `until` or the end; with `follow`, without end.

        `subject` is a NATS subject pattern. When following, an outage is waited out. `on_broken` is told what is wrong
        with an archive; when it returns, what there is is read.

        Raises:
            Unavailable, DeadlineExceeded: not `follow`, and the server went away, or a mirror answers in the stream's
                place; what was yielded is good.
            TrailBroken: an archive is missing, or not what it was.
        """
        batches = Batches(self.connection, self._batch, self.timeout_s, subject)
        walk = _Walk(self, batches, on_broken)
        position = start
        async with batches:
            while until is None or position <= until:
                try:
                    batch, position, is_end = await walk.step(position)
                except (Unavailable, DeadlineExceeded):
                    if not follow:
                        raise
                    batch, is_end = [], True
                for record in batch:
                    if until is not None and record.sequence > until:
                        return
                    yield record
                if is_end and not follow:
                    return
                if is_end:
                    await asyncio.sleep(poll_s)

    async def last_on(self, subject: str) -> int:
        """The sequence of the last message that the stream itself holds on `subject`; 0 if there is none.

        Raises:
            Unavailable, DeadlineExceeded: the server does not say.
        """
        get = f"$JS.API.DIRECT.GET.{self.stream}.{subject}"
        answer = await self.connection.request(get, timeout_s=self.timeout_s)
        sequence = answer.headers.get("Nats-Sequence", "")
        return int(sequence) if sequence.isdecimal() else 0

    async def copies(self) -> AsyncIterator[Record]:
        """What AUDIT holds of messages that are in archives: copies, from which producers go on. Raises as `records`."""
        last = (await self.archives()).last
        batches = Batches(self.connection, self._batch, self.timeout_s, "")
        position, is_end = 1, not last
        async with batches:
            while not is_end:
                batch, is_end = await batches.fetch(self.stream, position)
                for record in batch:
                    if record.sequence > last:
                        return
                    yield record
                    position = record.sequence + 1


class _Walk:
    """One iteration's way through the streams."""

    def __init__(self, reader: Reader, batches: Batches, on_broken: OnBroken) -> None:
        self._reader = reader
        self._batches = batches
        self._on_broken = on_broken
        self._entered: set[Archive] = set()
        self._told: set[Broken] = set()

    async def step(self, position: int) -> tuple[list[Record], int, bool]:
        """The next records from `position` on, the position after them, and whether the trail ends there."""
        archive = (await self._archives(position)).of(position)
        if archive and not await self._enters(archive):
            return [], archive.last + 1, False
        stream, begin = (archive.name, max(position, archive.first)) if archive else (self._reader.stream, position)
        found, is_end = await self._batches.fetch(stream, begin)
        if not self._reader.is_current:  # it may have been rotated meanwhile
            return [], position, False
        after = found[-1].sequence + 1 if found else position
        if archive and (is_end or after > archive.last):
            return [one for one in found if one.sequence <= archive.last], archive.last + 1, False
        return found, after, is_end

    async def _archives(self, position: int) -> Archives:
        """As they are now; what is wrong with the list from `position` on is told."""
        try:
            archives = await self._reader.archives()
        except NotProvisioned as error:
            raise Unavailable(str(error)) from None
        for broken in archives.problems:
            self._tell(broken, position)
        return archives

    async def _enters(self, archive: Archive) -> bool:
        """Whether there is such a stream; what is wrong with it is told."""
        if archive in self._entered:
            return True
        try:
            info = await stream_info(self._reader.connection, archive.name, self._reader.timeout_s)
        except NotProvisioned:
            self._tell(Broken(archive.first, 0, f"archive {archive.name} is not there"), archive.first)
            return False
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"archive {archive.name}: {error}; may this key read it? agentbus provision"
            ) from None
        if problem := problem_of(archive, info):
            self._tell(Broken(archive.first, archive.last, problem), archive.first)
        self._entered.add(archive)
        return True

    def _tell(self, broken: Broken, position: int) -> None:
        if broken not in self._told and max(broken.first, broken.last) >= position:
            self._told.add(broken)
            self._on_broken(broken)


def events_of(record: Record) -> list[Record]:
    """A record for each event in this one: usually there is one."""
    return [record._replace(payload=event, place=place) for place, event in enumerate(unpacked(record.payload))]
