"""A sealer and its witnesses in the test's own loop, with the fleet's own keys on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agents.processes.sealing import attend
from bus.audit.emit import Audit
from bus.audit.read import Reader, Record
from bus.audit.seal.cosigners import Cosigned, Cosigners
from bus.audit.seal.policy_file import load_policy, log_of
from bus.audit.seal.sealed_log import SealedLog
from bus.audit.seal.sealer import CHECKPOINT, LOG, Pace, Sealer
from bus.audit.seal.witness import Witness
from bus.audit.tlog.handover import is_handover
from bus.connection import Connection
from bus.credentials import Credential
from bus.jetstream import call
from schemas import names, subjects
from tests.harness.admin import administrator
from tests.harness.fleet import Bench, until

AT_ONCE = Pace(messages=1000, interval_s=0.05, idle_s=3600, poll_s=0.02, believe_s=0.1)
NEVER = Pace(interval_s=3600, poll_s=0.02)
_PATIENCE_S = 10.0
"""How long a witness may take: one that is not there says so at once, and a busy machine is no reason to name one."""


@dataclass
class Sealing:
    """A running sealer. `said` is what the witnesses answered, checkpoint by checkpoint."""

    bench: Bench
    folder: Path
    log: SealedLog
    sealer: Sealer
    task: asyncio.Task[None]
    auditor: Connection
    said: list[Cosigned] = field(default_factory=list)

    async def checkpoints(self) -> list[Record]:
        """The checkpoints on the stream."""
        found = [record async for record in Reader(self.auditor).records(subject=subjects.SEAL)]
        return [record for record in found if not is_handover(record.payload)]

    async def until_read(self, size: int) -> None:
        """The sealer has read so many messages."""

        async def look() -> bool:
            return self.log.size >= size

        await until(look, timeout_s=3 * _PATIENCE_S)

    async def until_sealed(self, size: int) -> Record:
        """The first checkpoint on the stream that covers `size` messages."""

        async def look() -> Record | None:
            if self.task.done():
                self.task.result()
            for record in await self.checkpoints():
                if int(record.payload.split(b"\n")[1]) >= size:
                    return record
            return None

        found = await until(look, timeout_s=3 * _PATIENCE_S)
        assert found is not None
        return found


async def witness_of(bench: Bench, name: str) -> Connection:
    """A witness that answers, with the state it has."""
    policy = load_policy(bench.home.seal_policy)
    connection = await bench.connect(name, names.OWN_CREDENTIAL)
    key = Credential.find(bench.home.credentials(name), names.SEAL_CREDENTIAL).signing_key()
    await attend(connection, name, Witness(bench.home.state(name), policy.witnesses[name].name, key, log_of(policy)))
    return connection


@asynccontextmanager
async def sealing(bench: Bench, pace: Pace = AT_ONCE, folder: Path | None = None) -> AsyncIterator[Sealing]:
    """A sealer with the fleet's key, in the folder of the fleet's own one unless another is given."""
    policy = load_policy(bench.home.seal_policy)
    connection = await bench.connect(names.SEALER, names.TRAIL_CREDENTIAL)
    key = Credential.find(bench.home.credentials(names.SEALER), names.SEAL_CREDENTIAL).signing_key()
    folder = folder or bench.home.state(names.SEALER)
    log = SealedLog(folder / LOG, log_of(policy), key)
    said: list[Cosigned] = []
    cosigners = Cosigners(connection, policy.witnesses, timeout_s=_PATIENCE_S)
    sealer = Sealer(connection, log, cosigners, folder / CHECKPOINT, pace, said.append)
    sealer.untold = [one.note for one in policy.handovers]
    task = asyncio.create_task(sealer.run())
    auditor = await bench.connect("auditor", names.OWN_CREDENTIAL)
    try:
        yield Sealing(bench, folder, log, sealer, task, auditor, said)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        log.close()
        await connection.close()


async def write(audit: Audit, events: int) -> None:
    """Events on the stream, a message each."""
    for number in range(events):
        audit.emit("request.received", action="SendMessage", size=number)
        await audit.confirm()


async def replaced_beneath(running: Sealing, keep: int) -> None:
    """`restore` between two looks of a running sealer, so that it sees what there is now and not what is in between."""
    async with running.sealer._turn:
        await restore(running.bench, keep)


async def restore(bench: Bench, keep: int, change: bytes = b"") -> None:
    """What an administrator can do: replace the stream by one with the first `keep` messages, the last one changed."""
    admin = await administrator(bench, names.ACCOUNT_AUDIT)
    config = (await call(admin, f"STREAM.INFO.{names.AUDIT}"))["config"]
    auditor = await bench.connect("auditor", names.OWN_CREDENTIAL)
    records = [record async for record in Reader(auditor).records(until=keep)]
    await call(admin, f"STREAM.DELETE.{names.AUDIT}")
    await call(admin, f"STREAM.CREATE.{names.AUDIT}", config)
    for record in records:
        payload = record.payload + change if record is records[-1] else record.payload
        kept = {names.CONTENT_TYPE: record.headers.get(names.CONTENT_TYPE, "x")}
        await admin.request(record.subject, payload, headers=kept, timeout_s=5)
