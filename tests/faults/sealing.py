"""Sealing processes for the tests: one forks a sealer or a witness per order, which meets its fault when told to go on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.processes.sealing import attend
from bus.audit.seal.cosigners import Cosigners
from bus.audit.seal.policy_file import log_of
from bus.audit.seal.sealed_log import SealedLog
from bus.audit.seal.sealer import CHECKPOINT, LOG, Pace, Sealer
from bus.audit.seal.witness import Witness
from bus.audit.tlog.note import COSIGNATURE, ED25519, Key
from bus.audit.tlog.policy import Policy
from bus.connection import Connection, Profile
from bus.credentials import Credential
from schemas import names
from tests.faults.planting import say, wait_for_go
from tests.faults.producing import fork_each
from tests.faults.seal_planting import SealFault

SEALER, WITNESS = "sealer", "witness-a"
_LOG_KEY, _WITNESS_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
_ORIGIN = "agentbus/faults/audit"
POLICY = Policy(
    (Key(_ORIGIN, ED25519, _LOG_KEY.public_key().public_bytes_raw()),),
    {WITNESS: Key(f"agentbus/faults/{WITNESS}", COSIGNATURE, _WITNESS_KEY.public_key().public_bytes_raw())},
)
_PACE = Pace(interval_s=0.02, poll_s=0.02)
_ANSWER_S = 0.5
"""Longer than a late answer takes."""


class SealOrder(msgspec.Struct, frozen=True):
    """What a process is to be, and what happens to it. `folder` holds the sealer's and the witness's state."""

    url: str
    credential: str
    folder: str
    who: str
    step: str
    what: str


def open_log(folder: Path) -> SealedLog:
    """The sealer's log as `folder` has it."""
    return SealedLog(folder / SEALER / LOG, log_of(POLICY), _LOG_KEY)


def open_sealer(connection: Connection, log: SealedLog, folder: Path) -> Sealer:
    """A sealer that seals at once what is new."""
    cosigners = Cosigners(connection, POLICY.witnesses, _ANSWER_S)
    return Sealer(connection, log, cosigners, folder / SEALER / CHECKPOINT, _PACE)


async def open_witness(connection: Connection, folder: Path) -> None:
    """A witness that answers from now on."""
    name = POLICY.witnesses[WITNESS].name
    await attend(connection, WITNESS, Witness(folder / WITNESS, name, _WITNESS_KEY, log_of(POLICY)))


async def _play(line: bytes) -> None:
    order = msgspec.json.decode(line, type=SealOrder)
    fault, folder = SealFault(order.step, order.what), Path(order.folder)
    fault.plant()
    credential = Credential(Path(order.credential))
    profile = Profile(url=order.url, credential=credential, name=order.who, inbox_prefix=names.inbox_prefix(order.who))
    connection = await Connection.open(profile)
    if order.who == SEALER:
        await _seal(open_sealer(connection, open_log(folder), folder), fault)
    else:
        await open_witness(connection, folder)
        say(armed=os.getpid())
        fault.arm()
        await asyncio.to_thread(wait_for_go)
    await connection.close()


async def _seal(sealer: Sealer, fault: SealFault) -> None:
    """Seal until the test says that it is enough, or the disk refuses."""
    say(armed=os.getpid())
    await asyncio.to_thread(wait_for_go)
    fault.arm()
    enough = asyncio.ensure_future(asyncio.to_thread(wait_for_go))
    running = asyncio.ensure_future(sealer.run())
    await asyncio.wait([enough, running], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        say(stopped=str(running.exception()))
        os._exit(os.EX_IOERR)  # the thread that waits for the test's word would hold it
    running.cancel()
    await asyncio.wait([running])


if __name__ == "__main__":
    fork_each(_play)
