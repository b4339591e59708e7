"""Checking the whole trail, as an auditor: the stream, or a backup of it; the verdict is the exit code."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from agents.cli.audit.progress import Watch
from agents.cli.run import log_quietly, run_async
from agents.people import auditor, fleet_of
from bus.audit.read import Reader
from bus.audit.seal.check import SealCheck, find_checkpoints, read_checkpoint
from bus.audit.seal.nodes import RememberedLeaves, remembered_range
from bus.audit.seal.policy_file import load_policy
from bus.audit.seal.sealed_log import NODES
from bus.audit.seal.sealer import LOG
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.merkle import CompactRange
from bus.audit.tlog.policy import Policy
from bus.audit.trust import Trust, load_trust
from bus.audit.verifying.bookmark import Bookmark, Identity
from bus.audit.verifying.self_test import self_test
from bus.audit.verifying.verify import NOWHERE, Begin, Report, Verifier
from bus.audit.verifying.verify_stream import find_heads, verify_with
from bus.errors import NotProvisioned
from bus.surroundings import Home
from schemas import names
from schemas.errors import A2AError, AgentbusError, DeadlineExceeded, Unavailable

_KEY_DIGITS = 16


class Wanted(NamedTuple):
    """What to check, as typed: checkpoints that were kept; the one to begin at; whether, and where, to remember how far it came."""

    checkpoints: tuple[Path, ...] = ()
    begin: Path | None = None
    is_anew: bool = False
    state: Path | None = None


class Knowledge(NamedTuple):
    """What an auditor checks the trail with, and from where on its events are checked."""

    trust: Trust
    seals: SealCheck | None
    begin: Begin = NOWHERE


def verify(root: Path, wanted: Wanted, *, as_json: bool) -> NoReturn:
    """Check the trail, and exit with the verdict. Interrupted, it is gone on with by the next run."""
    log_quietly()
    conclude(run_async(_verify(Home(root.resolve()), wanted)), as_json=as_json)


def conclude(report: Report, *, as_json: bool) -> NoReturn:
    """Print the verdict, and exit with it."""
    if as_json:
        findings, silent = [one._asdict() for one in report.findings], [one._asdict() for one in report.silent]
        print(msgspec.json.encode({**_plain(report), "findings": findings, "silent": silent}).decode())
    else:
        _print(report)
    raise SystemExit(report.exit_code)


def knowledge(home: Home, wanted: Wanted, *, is_live: bool = True) -> Knowledge:
    """What the home and the command line say. The verifier has shown first that it sees what is planted.

    A live trail must go on to the newest checkpoint that this host keeps; a copy may be older, and is read whole.

    Raises:
        VerifierUnfit: it has not. InvalidDocument: a file is missing or says something else.
    """
    self_test()
    trust = load_trust(home.trust)
    if not (home.seal_policy.exists() or wanted.checkpoints or wanted.begin):
        return Knowledge(trust, None)  # a fleet that was provisioned before there were checkpoints
    policy = load_policy(home.seal_policy)
    newest = find_checkpoints(home.root / "state", policy) if is_live else []
    kept = [*newest, *(read_checkpoint(path, policy) for path in wanted.checkpoints)]
    nodes = home.state(names.SEALER) / LOG / NODES
    begin, before = NOWHERE, None
    if wanted.begin:
        trusted = read_checkpoint(wanted.begin, policy)
        before = _tree(nodes, trusted) if is_live else None
        begin = _after(trusted, is_read=before is None)
        kept.append(trusted)
    return Knowledge(trust, SealCheck(policy, kept, RememberedLeaves(nodes), before), begin)


def _tree(nodes: Path, trusted: Checkpoint) -> CompactRange | None:
    """The tree under the checkpoint from the sealer's own hashes, where they lead to its root."""
    found = remembered_range(nodes, trusted.size)
    return found if found and found.root() == trusted.root else None


def _after(trusted: Checkpoint, *, is_read: bool) -> Begin:
    how = "read, and the same bytes" if is_read else "not read"
    return Begin(trusted.size, f"they are taken from the checkpoint that you kept; {how}", is_read=is_read)


async def _verify(home: Home, wanted: Wanted) -> Report:
    try:
        heads = tuple(find_heads(home.root / "state"))
        known = knowledge(home, wanted)
        async with auditor(home, fleet_of(home)) as connection:
            reader = Reader(connection)
            bookmark = await _bookmark(home, wanted, reader, known)
            begin = bookmark.begin() if bookmark else known.begin
            if bookmark:
                _tell_of(bookmark, begin)
            return await _read(reader, Verifier(known.trust, heads, seals=known.seals, begin=begin), bookmark)
    except (AgentbusError, A2AError) as error:
        return Report("cannot tell", str(error))


async def _bookmark(home: Home, wanted: Wanted, reader: Reader, known: Knowledge) -> Bookmark | None:
    """A run of the whole trail can be gone on with; one from a checkpoint is short, one without checkpoints has no digest."""
    if known.seals is None or wanted.begin:
        return None
    policy = load_policy(home.seal_policy)
    try:
        identity = Identity.of(await reader.bounds(), policy, known.trust)
    except (NotProvisioned, Unavailable, DeadlineExceeded):
        return None  # the verifier meets the same, and knows what it means
    folder = wanted.state or _own_state()
    if folder is None:
        return None
    bookmark = Bookmark(_state_file(home, policy, folder), identity)
    if wanted.is_anew:
        bookmark.clear()
    return bookmark


async def _read(reader: Reader, verifier: Verifier, bookmark: Bookmark | None) -> Report:
    watch = Watch()

    def on_progress(reached: int, last: int) -> None:
        watch(reached, last)
        if bookmark:
            bookmark.offer(verifier)

    try:
        report = await verify_with(reader, verifier, on_progress, now=datetime.datetime.now(datetime.UTC))
    except asyncio.CancelledError:
        watch.end()
        if bookmark and bookmark.save(verifier):
            _tell(f"interrupted after stream sequence {verifier.position - 1}; the next run goes on there")
        raise
    finally:
        watch.end()
        if bookmark and bookmark.problem:
            _tell(bookmark.problem)
    if bookmark and report.verdict == "cannot tell":
        bookmark.save(verifier)
    elif bookmark:
        bookmark.clear()
    return report


async def verified_by(reader: Reader, home: Home, wanted: Wanted) -> Report:
    """What is to be said of the trail that `reader` reads, on the host that the fleet runs on."""
    watch = Watch()
    known = knowledge(home, wanted)
    verifier = Verifier(known.trust, tuple(find_heads(home.root / "state")), seals=known.seals)
    try:
        return await verify_with(reader, verifier, watch)
    finally:
        watch.end()


def _own_state() -> Path | None:
    """The auditor's own; None for a user without a home. Source: XDG Base Directory Specification."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "agentbus"
    try:
        return Path.home() / ".local" / "state" / "agentbus"
    except RuntimeError:
        return None


def _state_file(home: Home, policy: Policy, folder: Path) -> Path:
    """One file a fleet."""
    key = hashlib.sha256(f"{home.root}\n{policy.logs[0].name}".encode()).hexdigest()[:_KEY_DIGITS]
    return folder / f"verify-{key}.json"


def _tell_of(bookmark: Bookmark, begin: Begin) -> None:
    if bookmark.refused:
        _tell(f"{bookmark.refused}: beginning anew")
    elif begin.after:
        _tell(f"going on after stream sequence {begin.after}, where a run was interrupted; --from-start begins anew")


def _tell(text: str) -> None:
    print(f"agentbus: {text}", file=sys.stderr, flush=True)


def _plain(report: Report) -> dict[str, object]:
    fields = ("verdict", "reason", "found", "events", "slots", "last_sequence", "checkpoints", "sealed", "witnesses")
    return {name: getattr(report, name) for name in (*fields, "began_after", "rests_on")}


def _print(report: Report) -> None:
    print(
        f"{report.verdict}: {report.events} events of {report.slots} producers, up to sequence {report.last_sequence}"
    )
    if report.began_after:
        print(f"events up to sequence {report.began_after} were not checked by this run: {report.rests_on}")
    if report.checkpoints:
        count = "1 checkpoint seals" if report.checkpoints == 1 else f"{report.checkpoints} checkpoints seal"
        witnesses = ", ".join(report.witnesses) or "nobody"
        print(f"{count} it up to sequence {report.sealed}; the last is cosigned by {witnesses}")
    if report.reason:
        print(report.reason)
    for finding in report.findings:
        stretch = f"{finding.sequence}-{finding.last}" if finding.last else str(finding.sequence)
        print(f"  sequence {stretch}  {finding.subject}  {finding.problem}")
    if report.found > len(report.findings):
        print(f"  … and {report.found - len(report.findings)} more")
    for silent in report.silent:
        where = f"{silent.slot}> is silent since {silent.stored}, stream sequence {silent.sequence}"
        print(f"  {where}: its process neither ended in order nor says that it is there")
