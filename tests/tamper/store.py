"""A real fleet's home with a trail, copies of it, and an attacker who is root on the server's host."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bus.audit.copies.snapshot import copy_stream
from bus.audit.emit import Audit, Options
from bus.audit.producer import Producer
from bus.audit.read import Reader, Record
from bus.audit.seal.policy_file import load_policy, log_of
from bus.audit.seal.sealed_log import NODES, last_sealed
from bus.audit.seal.sealer import LOG
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.note import Note, sign
from bus.connection import Connection
from bus.credentials import Credential
from bus.jetstream import call
from bus.provision.provision import start_server
from bus.provision.seal_keys import replace_seal_key
from bus.surroundings import Home
from schemas import names, subjects
from schemas.audit import (
    PAYLOAD_TYPE,
    batch_payload,
    decode_event,
    digest,
    encode_event,
    pre_authentication_encoding,
)
from schemas.fleet import Fleet
from tests.harness.admin import administrator
from tests.harness.command import agentbus
from tests.harness.fleet import Bench
from tests.harness.sealing import sealing, witness_of
from tests.tamper.changes import APPROVALS, GREETER, Place

_BATCH_HEADERS = {names.BATCH_ID, names.EXPECTED_SUBJECT_SEQUENCE, names.EXPECTED_SUBJECT_FILTER}
"""Orders to the server, which it would follow again; the rest of what a producer sent is stored as it was."""


_EARLIER = "earlier"
TEXTSTATS = Producer("textstats", "0", is_agent=True)


STOLEN = "stolen"
"""The folder with the key that the sealer had."""


def hand_over_seal(home: Home) -> None:
    """Replace the sealer's key; a thief has the old one."""
    policy, path = load_policy(home.seal_policy), home.credentials(names.SEALER) / names.SEAL_CREDENTIAL
    (home.root / STOLEN).mkdir(mode=0o700)
    shutil.copy(path, home.root / STOLEN)
    sealed, _ = last_sealed(home.state(names.SEALER) / LOG, log_of(policy))
    assert sealed is not None
    made = replace_seal_key(path, policy.logs[0], sealed, 0)
    home.seal_policy.write_text(str(dataclasses.replace(policy, logs=(made.new,), handovers=(made,))))


class Seen(NamedTuple):
    """What `agentbus audit verify` said: its exit code, and from where to where its first finding says that it is."""

    exit_code: int
    place: Place | None
    problems: tuple[str, ...]


@asynccontextmanager
async def running(home: Home, fleet: Fleet) -> AsyncIterator[Bench]:
    """The server of a home that was made before, here or as a copy."""
    async with AsyncExitStack() as stack:
        server = await start_server(fleet, home)
        stack.push_async_callback(server.stop)
        yield Bench(home, fleet, server, stack)


async def in_turn(bench: Bench, batches: int = 10) -> None:
    """Two producers, ten batches of three in turn."""
    audits = [await _audit(bench, producer) for producer in (GREETER, APPROVALS)]
    for number in range(batches):
        for part in range(3):
            audits[number % 2].emit("request.received", action="SendMessage", reason=f"{number}.{part}")
        await audits[number % 2].confirm()


async def in_bulk(bench: Bench) -> None:
    """One producer: a batch of three events, one of 200 in a few messages, and one of three."""
    audit = await _audit(bench, GREETER)
    for count in (3, 200, 3):
        for number in range(count):
            audit.emit("request.received", action="SendMessage", size=number)
        await audit.confirm()


async def sealed(bench: Bench) -> None:
    """`in_turn`, a checkpoint of it, an event, two events, and a checkpoint of all: what witnesses cosigned they keep.

    The store is kept as it was with 30 and with 32 messages.
    """
    await in_turn(bench)
    _keep(bench.home, 30)
    for name in bench.fleet.witnesses:
        await witness_of(bench, name)
    async with sealing(bench) as running:
        await running.until_sealed(30)
    audit = await _audit(bench, TEXTSTATS)
    for count in (1, 2):
        for number in range(count):
            audit.emit("request.received", action="SendMessage", size=number)
        await audit.confirm()
        if count == 1:
            _keep(bench.home, 32)
    async with sealing(bench) as running:
        await running.until_sealed(34)


async def gone_on(bench: Bench) -> None:
    """Of a trail that was rotated: six events of one producer, and a checkpoint of all."""
    audit = await _audit(bench, TEXTSTATS)
    for number in range(6):
        audit.emit("request.received", action="SendMessage", reason=str(number))
        await audit.confirm()
    await audit.close()
    size = len(await records_of(bench))
    for name in bench.fleet.witnesses:
        await witness_of(bench, name)
    async with sealing(bench) as running:
        await running.until_sealed(size)


async def two_runs(bench: Bench) -> None:
    """One producer's process writes a batch of three and ends; the next one goes on with three."""
    for run in range(2):
        audit = await _audit(bench, GREETER)
        for number in range(3):
            audit.emit("request.received", action="SendMessage", reason=f"{run}.{number}")
        await audit.confirm()
        await audit.close()


async def _audit(bench: Bench, producer: Producer, options: Options | None = None) -> Audit:
    connection = await bench.connect(producer.name, names.OWN_CREDENTIAL)
    credential = Credential.find(bench.home.credentials(producer.name), names.AUDIT_CREDENTIAL)
    directory = bench.home.state(producer.name) / "audit"
    audit = await Audit.open(connection, producer, credential, directory, options)
    bench.stack.push_async_callback(audit.close)
    return audit


async def records_of(bench: Bench) -> list[Record]:
    """The whole trail, as an auditor reads it."""
    inbox = names.inbox_prefix("auditor")
    reader = Reader(await bench.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=inbox))
    return [record async for record in reader.records()]


async def verified(home: Home) -> Seen:
    """What the auditor's command says."""
    done = await asyncio.to_thread(agentbus, "audit", "verify", "--json", "--home", home.root)
    if done.returncode not in {0, 1, 2}:
        raise AssertionError(f"agentbus audit verify failed: {done.stderr}")
    findings = json.loads(done.stdout)["findings"]
    problems = tuple(f"{finding['sequence']}: {finding['problem']}" for finding in findings)
    places = [(finding["sequence"], finding["last"] or finding["sequence"]) for finding in findings]
    return Seen(done.returncode, places[0] if places else None, problems)


def copied(home: Home, folder: Path) -> Home:
    """The same home elsewhere: store, keys, heads, trust."""
    shutil.copytree(home.root, folder, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "test-admin"))
    return Home(folder)


class Attacker:
    """Who may do everything on the server, and has no producer's key."""

    def __init__(self, bench: Bench, admin: Connection) -> None:
        self._bench = bench
        self._admin = admin

    @classmethod
    async def of(cls, bench: Bench) -> Attacker:
        """With rights that nobody has in service."""
        return cls(bench, await administrator(bench, names.ACCOUNT_AUDIT))

    async def update(self, **changes: Any) -> None:
        """Change the stream's configuration."""
        config = (await self._info())["config"]
        await call(self._admin, f"STREAM.UPDATE.{names.AUDIT}", config | changes)

    async def rebuild(self, records: Sequence[Record]) -> None:
        """Put another stream in the place of AUDIT that holds `records`, at their sequences, with what they say."""
        config = (await self._info())["config"] | {"deny_delete": False, "duplicate_window": 100_000_000}
        await call(self._admin, f"STREAM.DELETE.{names.AUDIT}")
        await call(self._admin, f"STREAM.CREATE.{names.AUDIT}", config)
        gaps, sequence = [], 0
        for record in records:
            while sequence + 1 < record.sequence:
                sequence = await self._store("audit.gap", b"", {})
                gaps.append(sequence)
            sequence = await self._store(record.subject, record.payload, record.headers)
        for gap in gaps:
            await call(self._admin, f"STREAM.MSG.DELETE.{names.AUDIT}", {"seq": gap})

    async def rewrite(self, *, and_seal: bool) -> None:
        """Another and longer history, signed by every producer's own key, which was stolen; and by the sealer's."""
        await self.rebuild([])
        for state in self._bench.home.root.glob("state/*/audit"):
            shutil.rmtree(state)
        await in_turn(self._bench, 14)
        if and_seal:
            async with sealing(self._bench, folder=self._bench.home.root / "stolen") as running:
                await running.until_sealed(30)

    async def put_a_clock_ahead(self, *hours: int) -> None:
        """A genuine producer on a host whose clock is so many hours ahead, event by event of one batch."""
        ahead = [0]
        audit = await _audit(self._bench, GREETER, Options(now=lambda: time.time_ns() + ahead[0] * 3_600_000_000_000))
        for ahead[0] in hours:
            audit.emit("request.received", action="SendMessage")
        await audit.confirm()

    async def go_on(self, producer: Producer, events: int) -> None:
        """A genuine producer writes some events more."""
        audit = await _audit(self._bench, producer)
        for number in range(events):
            audit.emit("request.received", action="SendMessage", size=number)
        await audit.confirm()

    async def fork(self, producer: Producer, records: Sequence[Record], goes_back: int) -> None:
        """Whoever has the producer's key writes an event that is not what its host would write next.

        It has the number of the last one that is `goes_back` events before, and goes on from another history.
        """
        subject = producer.subject("request")
        mine = [record for record in records if record.subject == subject]
        last = decode_event(mine[-1].payload)
        event = msgspec.structs.replace(last, sequence=last.sequence + 1 - goes_back, prev="a" * 64, id="fork/1")
        payload = encode_event(event)
        covered = batch_payload(subject, digest(payload), [1], mine[-1].sequence)
        credential = Credential.find(self._bench.home.credentials(producer.name), names.AUDIT_CREDENTIAL)
        signature = credential.signing_key().sign(pre_authentication_encoding(PAYLOAD_TYPE, covered))
        await self.append(
            subject, payload,
            {
                names.MSG_ID: digest(payload), names.SIGNATURE: base64.b64encode(signature).decode(),
                names.SIGNATURE_KEY: credential.public_key(), names.SIGNATURE_AFTER: str(mine[-1].sequence),
            },
        )  # fmt: skip

    async def publish_checkpoint(self, size: int, root: bytes, *, stolen: bool = False) -> None:
        """With the sealer's own key, or with the one that it had before its key was replaced."""
        folder = self._bench.home.root / STOLEN if stolen else self._bench.home.credentials(names.SEALER)
        key = Credential.find(folder, names.SEAL_CREDENTIAL).signing_key()
        origin = log_of(load_policy(self._bench.home.seal_policy)).name
        text = Checkpoint(origin, size, root).text()
        await self.append(subjects.SEAL, bytes(Note(text, (sign(text, origin, key),))), {})

    async def publish_handover(self) -> None:
        """As the sealer does when its key was replaced."""
        await self.append(subjects.SEAL, load_policy(self._bench.home.seal_policy).handovers[-1].note, {})

    async def delete(self, stream: str = names.AUDIT) -> None:
        """Delete a stream."""
        await call(self._admin, f"STREAM.DELETE.{stream}")

    async def copy(self, stream: str, to: str, without: int = 0, **changes: Any) -> None:
        """What only an administrator can: another stream in the place of `to`, with each message's bytes, time and place."""
        config = (await call(self._admin, f"STREAM.INFO.{to}"))["config"]
        between = config | {
            "name": "BETWEEN",
            "subjects": [],
            "sealed": False,
            "deny_delete": False,
            "deny_purge": False,
        }
        await copy_stream(self._admin, stream, between)
        if without:
            await call(self._admin, "STREAM.MSG.DELETE.BETWEEN", {"seq": without})
        await self.delete(to)
        await copy_stream(self._admin, "BETWEEN", config | changes)

    async def last_archive(self) -> str:
        """The archive before AUDIT."""
        return (await Reader(self._admin).archives()).all[-1].name

    async def make_anew(self, **changes: Any) -> None:
        """An empty AUDIT that says of itself what the other one did."""
        config = (await self._info())["config"]
        await self.delete()
        await call(self._admin, f"STREAM.CREATE.{names.AUDIT}", config | changes)

    async def append(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Store a message as if it were a producer's."""
        await self._store(subject, payload, headers)

    async def _store(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        """Store one, also when the server saw its id a moment ago; returns its sequence."""
        headers = {name: value for name, value in headers.items() if name not in _BATCH_HEADERS}
        async with asyncio.timeout(10):
            while True:
                answer = await self._admin.request(subject, payload, headers=headers, timeout_s=5)
                told = json.loads(answer.data)
                if "error" in told:
                    raise AssertionError(f"the attack could not be made: {told['error']}")
                if not told.get("duplicate"):
                    return int(told["seq"])
                await asyncio.sleep(0.02)

    async def _info(self) -> dict[str, Any]:
        return await call(self._admin, f"STREAM.INFO.{names.AUDIT}")


def _keep(home: Home, size: int) -> None:
    """What lies on the disk now; nothing is being written."""
    shutil.copytree(home.store, home.root / _EARLIER / str(size))


def put_back(home: Home, size: int) -> None:
    """As somebody does who has a backup of the disk: the store of before, which is whole and genuine."""
    shutil.rmtree(home.store)
    shutil.copytree(home.root / _EARLIER / str(size), home.store)


def block_of(home: Home, stream: str = names.AUDIT) -> Path:
    """The file that the messages of the trail are in, or of an archive of it."""
    (block,) = [path for path in home.store.rglob("*.blk") if f"/streams/{stream}/" in str(path)]
    return block


def forget_heads(home: Home) -> None:
    """As on a host where no producer runs: an auditor has nothing but keys and checkpoints."""
    for head in home.root.glob("state/*/audit/head.json"):
        head.unlink()


def forget_hashes(home: Home) -> None:
    """As on a host where no sealer runs: there are its checkpoints, not its hashes."""
    shutil.rmtree(home.state(names.SEALER) / LOG / NODES)
