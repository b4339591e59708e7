"""Proofs of the trail: made from the stream by an auditor, checked by anybody with public keys alone."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

import msgspec

from agents.cli.audit.progress import Progress
from agents.cli.audit.tail import line_of
from agents.cli.run import log_quietly, run_async
from agents.people import auditor, fleet_of
from bus.audit.read import Reader, Record, events_of
from bus.audit.seal.check import read_note
from bus.audit.seal.policy_file import load_policy
from bus.audit.seal.prove import EXTENSION, ReadLog, check_proof, prove_consistency, prove_message, read_log
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.policy import Policy
from bus.surroundings import Home
from schemas import subjects
from schemas.errors import InvalidDocument
from schemas.text import harmless


def prove(root: Path, sequence: int, output: Path | None) -> None:
    """Write the proof that the message `sequence` is on the trail."""
    log_quietly()
    home = Home(root.resolve())
    policy = load_policy(home.seal_policy)
    proof = prove_message(_read(home, policy, sequence), policy, sequence)
    path = output or Path(f"{sequence}{EXTENSION}")
    try:
        path.write_bytes(bytes(proof))
    except OSError as error:
        raise InvalidDocument(f"the proof cannot be written: {error}; name another file with -o") from None
    print(f"{path} proves stream sequence {sequence}; check it with: agentbus audit check-proof {path}")


def check(root: Path, path: Path, policy_path: Path | None, *, as_json: bool) -> None:
    """Verify a proof file; exit 1 when it proves nothing."""
    policy = load_policy(policy_path or Home(root.resolve()).seal_policy)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidDocument(f"the proof cannot be read: {error}") from None
    try:
        leaf, checkpoint, witnesses = check_proof(data, policy)
    except NotVerified as error:
        raise NotVerified(f"{path} proves nothing: {error}") from None
    record = _record(leaf)
    if as_json:
        print(_as_json(record, checkpoint, witnesses))
        return
    print(f"proven: stream sequence {leaf.sequence} of {harmless(checkpoint.origin)}, stored {harmless(record.time)}")
    for witness, time_s in witnesses.items():
        at = datetime.datetime.fromtimestamp(time_s, datetime.UTC)
        print(f"  cosigned by {harmless(witness)} at {at:%Y-%m-%dT%H:%M:%SZ}")
    if record.subject == subjects.SEAL:
        print(f"  a checkpoint of {harmless(record.payload.split(b'\n')[1].decode(errors='replace'))} messages")
        return
    for event in events_of(record):
        print(f"  {line_of(event, as_json=False)}")


def consistency(root: Path, names: tuple[str, str], *, as_json: bool) -> None:
    """Show that one checkpoint is the beginning of another; exit 1 when it is not."""
    log_quietly()
    home = Home(root.resolve())
    policy = load_policy(home.seal_policy)
    kept = [_kept(name, policy) for name in names]
    log = _read(home, policy)
    old, new = (one or _published(name, log) for one, name in zip(kept, names, strict=True))
    proof = prove_consistency(log, old, new)
    if as_json:
        hashes = [base64.b64encode(one).decode() for one in proof]
        print(msgspec.json.encode({"consistent": True, "old": old.size, "new": new.size, "proof": hashes}).decode())
        return
    print(f"consistent: the checkpoint of {old.size} messages is the beginning of that of {new.size}")


def _read(home: Home, policy: Policy, wanted: int = 0) -> ReadLog:
    async def main() -> ReadLog:
        async with auditor(home, fleet_of(home)) as connection:
            reader = Reader(connection)
            progress = await Progress.over(reader)
            try:
                return await read_log(reader, policy, wanted, progress.at)
            finally:
                progress.end()

    return run_async(main())


def _kept(name: str, policy: Policy) -> Checkpoint | None:
    """The checkpoint in the file of this name; None when the name is a size."""
    return None if name.isdecimal() else read_note(Path(name), policy)[0]


def _published(size: str, log: ReadLog) -> Checkpoint:
    if int(size) not in log.checkpoints:
        known = ", ".join(map(str, sorted(log.checkpoints)[-5:])) or "none"
        raise InvalidDocument(f"the stream has no checkpoint of {size} messages; the last are: {known}")
    return log.checkpoints[int(size)][0]


def _record(leaf: Leaf) -> Record:
    time, subject = (one.decode(errors="replace") for one in (leaf.time, leaf.subject))
    return Record(leaf.sequence, time, subject, {}, leaf.payload)


def _as_json(record: Record, checkpoint: Checkpoint, witnesses: dict[str, int]) -> str:
    return msgspec.json.encode({
        "proven": True, "sequence": record.sequence, "time": record.time, "subject": record.subject,
        "origin": checkpoint.origin, "size": checkpoint.size, "witnesses": witnesses,
        "events": [_json_or_text(event.payload) for event in events_of(record)],
    }).decode()  # fmt: skip


def _json_or_text(payload: bytes) -> object:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return payload.decode(errors="replace")
