"""One server and one forking process for all cells; each cell gets a stream and a folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bus.audit.emit import Audit
from bus.audit.producer import Producer
from bus.audit.read import Reader, events_of
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from bus.connection import Connection
from schemas import subjects
from schemas.audit import decode_event
from tests.contract.audit.audit_server import AuditServer
from tests.faults.producing import Order

GREETER = Producer("greeter", "0", is_agent=True)
CHECKOUT = Path(__file__).parents[2]
_PATIENCE_S = 30


@dataclass
class Told:
    """What a producing process said. `ended` is its exit code, negative for a signal."""

    taken: list[int]
    refused: list[int]
    confirmed: int = 0
    """So many, counted from the first event."""
    unconfirmed: str = ""
    why: str = ""
    crashed: str = ""
    stopped: str = ""
    """Why its process was asked to leave."""
    spent: bool = False
    """Whether the fault happened."""
    ended: int | None = None

    def take(self, line: dict[str, Any]) -> None:
        self.taken += line.pop("taken", [])
        self.refused += line.pop("refused", [])
        for name, value in line.items():
            setattr(self, name, value)


@dataclass
class Stage:
    """Give an order with `begin`, read with `hear` and `told`, then look at the `trail`."""

    root: Path
    server: AuditServer
    process: asyncio.subprocess.Process
    cell: int = 0
    first: int = 0
    """The number that the next process begins with."""

    async def clear(self) -> None:
        """An empty stream and an empty folder."""
        self.cell, self.first = self.cell + 1, 0
        admin = await self.server.connect("admin")
        await admin.request("$JS.API.STREAM.DELETE.AUDIT", timeout_s=10)
        await admin.close()
        await self.server.create_stream()

    @property
    def directory(self) -> Path:
        """Where the producers of this cell keep their state."""
        return self.root / "state" / str(self.cell) / "audit"

    async def begin(self, step: str, what: str, form: str, url: str = "", *, is_killed_later: bool = False) -> int:
        """Start a process, and return its number when it is about to plant its fault."""
        keys = str(self.root / "keys")
        order = Order(url or self.server.url, keys, str(self.directory), step, what, form, is_killed_later, self.first)
        return await self.start(order)

    async def restart(self, step: str, what: str, form: str) -> int:
        """As `begin`, for a process that meets its fault while it goes on from what another one has left."""
        keys = str(self.root / "keys")
        order = Order(self.server.url, keys, str(self.directory), step, what, form, first=self.first, is_restart=True)
        return await self.start(order)

    async def start(self, order: msgspec.Struct) -> int:
        """As `begin`, with any order that the forking process understands."""
        self._write(msgspec.json.encode(order))
        self.told = Told([], [])
        return int((await self.hear("armed"))["armed"])

    def go(self) -> None:
        """Let the process go on."""
        self._write(b".")

    async def hear(self, word: str) -> dict[str, Any]:
        """Return the next line with this word; what comes before it is in `told`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_PATIENCE_S):
            while line := json.loads(await self.process.stdout.readline() or b"{}"):
                if word in line:
                    return dict(line)
                self.told.take(line)
                assert "ended" not in line, f"it ended before it said {word!r}: {self.told}"
        raise AssertionError("the forking process is gone")

    async def ends(self) -> Told:
        """What was told until the process ended."""
        self.told.take(await self.hear("ended"))
        assert not self.told.crashed, self.told.crashed
        return self.told

    async def next_process(self) -> None:
        """A process after it on the same folder (this one): writes one event, leaves nothing behind."""
        connection = await self.server.connect("greeter")
        audit = await Audit.open(connection, GREETER, self.server.signing("greeter"), self.directory)
        audit.emit("process.started", action="start")
        await audit.confirm(20)
        await audit.close()
        await connection.close()

    async def trail(self) -> tuple[list[int], Report]:
        """The numbers of the events on the stream, in its order, and the verdict on all of it."""
        auditor = await self.server.connect("auditor")
        heads = find_heads(self.directory)
        report = await verify_stream(Reader(auditor), self.server.trust, heads)
        numbers = await numbers_on(auditor)
        await auditor.close()
        return numbers, report

    async def limit(self, **limits: int) -> None:
        """Change the stream's limits, as only an administrator can."""
        admin = await self.server.connect("admin")
        info = json.loads((await admin.request("$JS.API.STREAM.INFO.AUDIT", timeout_s=10)).data)
        wanted = msgspec.json.encode(info["config"] | limits)
        answer = json.loads((await admin.request("$JS.API.STREAM.UPDATE.AUDIT", wanted, timeout_s=10)).data)
        assert "error" not in answer, answer
        await admin.close()

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)


async def numbers_on(connection: Connection) -> list[int]:
    """The numbers of the events on the stream, in its order."""
    records = [record async for record in Reader(connection).records() if record.subject != subjects.SEAL]
    events = [decode_event(event.payload) for record in records for event in events_of(record)]
    return [event.data.size for event in events if event.data.size is not None]


@asynccontextmanager
async def staged(root: Path, forking: str = "tests.faults.producing") -> AsyncIterator[Stage]:
    """A stage in the folder `root`; the module `forking` takes its orders."""
    server = AuditServer(root, (GREETER,))
    server.credential("greeter"), server.signing("greeter")
    server.start()
    with (root / "producers.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", forking, cwd=CHECKOUT, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        await server.create_stream()
        yield Stage(root, server, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await server.close()
