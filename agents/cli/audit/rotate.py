"""Rotation of the trail, with the fleet stopped, and the list of its archives."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from agents.cli.audit.progress import Watch
from agents.cli.audit.replay import trail_of
from agents.cli.audit.verify import Wanted, conclude, verified_by
from agents.cli.run import log_quietly, run_async
from agents.people import fleet_of
from bus.audit.archives import ROOT, Archive, problem_of
from bus.audit.emit import Audit
from bus.audit.event import Plain
from bus.audit.fetch import stream_info
from bus.audit.producer import Insider
from bus.audit.read import Reader
from bus.audit.verifying.verify import Report
from bus.connection import Connection
from bus.credentials import Credential
from bus.errors import NotProvisioned
from bus.provision.closed import administered
from bus.provision.provision import grant_archives, write_files
from bus.provision.rotation import Plan, Rotation, forget, note
from bus.provision.streams import streams_of
from bus.surroundings import Home
from schemas import names
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.text import harmless

_WRITER = Insider(names.ROTATION, "0", is_agent=False)


def rotate(root: Path, *, as_json: bool) -> None:
    """Put away what AUDIT holds, or go on with that; a trail that is not sound is left alone, and the exit code is its."""
    log_quietly()
    home = Home(root.resolve())
    done = run_async(rotated(home))
    if isinstance(done, Report):
        print("agentbus: the trail was not rotated; of it is to be said:", file=sys.stderr, flush=True)
        conclude(done, as_json=as_json)
    archive = done.archive
    if as_json:
        print(msgspec.json.encode({"archive": archive.name, **archive._asdict(), **_plain(done)}).decode())
    else:
        print(f"{archive.name} holds stream sequences {archive.first} to {archive.last}, Merkle root {done.root}")
        print("the trail goes on behind them; start the fleet with: agentbus up")


def _plain(done: Plan) -> dict[str, Any]:
    return {"messages": done.messages, "root": done.root, "archives": done.archives}


async def rotated(home: Home) -> Plan | Report:
    """What was put away; or why the trail was left alone."""
    fleet = fleet_of(home)
    write_files(fleet, home)
    steps = _Steps()
    try:
        async with _rotation(fleet, home, steps) as (rotation, admin):
            noted = await rotation.interrupted()
            found = noted or await _archived(rotation, admin, home, steps)
        if isinstance(found, Report):
            return found
        if noted is None:
            await note(home, found)
            grant_archives(fleet, home, found.archives)
        async with _rotation(fleet, home, steps) as (rotation, admin):
            await rotation.cut(found)
            await _tell_end(admin, home, found)
        await forget(home)
    finally:
        steps.end()
    grant_archives(fleet, home, found.archives)
    return found


@asynccontextmanager
async def _rotation(fleet: Fleet, home: Home, steps: _Steps) -> AsyncIterator[tuple[Rotation, Connection]]:
    """With a server of its own, and the right to do anything to the trail."""
    stream = next(one for one in streams_of(fleet) if one.name == names.AUDIT)
    async with administered(fleet, home, names.ACCOUNT_AUDIT) as admin:
        yield Rotation(admin, home, stream, steps.begin, steps), admin


async def _archived(rotation: Rotation, admin: Connection, home: Home, steps: _Steps) -> Plan | Report:
    await _require_news(Reader(admin))
    steps.begin("verifying the trail")
    report = await verified_by(Reader(admin), home, Wanted())
    if report.verdict != "sound":
        return report
    by = _account()
    async with _telling(admin, home) as audit:
        first = (await Reader(admin).archives()).last + 1
        audit.emit("audit.rotation_begun", action="rotate", actor=by, resource=names.AUDIT, metadata={"first": first})
        await audit.confirm()
    return await rotation.archive(by)


async def _require_news(reader: Reader) -> None:
    """Refuse what would put away nothing but the end of the rotation before.

    Raises:
        InvalidDocument: nothing was written since.
    """
    try:
        start = (await reader.archives()).last + 1
    except NotProvisioned:
        return  # who verifies the trail says it better
    async for record in reader.records(start):
        if not record.subject.startswith(_WRITER.prefix):
            return
    raise InvalidDocument("nothing was written to the trail since it was rotated; there is nothing to put away")


def _account() -> str:
    """Who runs this, as the host says."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


async def _tell_end(admin: Connection, home: Home, plan: Plan) -> None:
    """The first message after the archive; said once, also when the rotation was interrupted after it."""
    archive = plan.archive
    async for _ in Reader(admin).records(archive.last + 1, subject=_WRITER.subject("audit")):
        return
    facts: dict[str, Plain] = {
        "first": archive.first,
        "last": archive.last,
        "messages": plan.messages,
        "root": plan.root,
    }
    async with _telling(admin, home) as audit:
        audit.emit("audit.rotated", action="rotate", actor=plan.by, resource=archive.name, metadata=facts)
        audit.emit("process.stopped", action="stop")
        await audit.confirm()


@asynccontextmanager
async def _telling(admin: Connection, home: Home) -> AsyncIterator[Audit]:
    credential = Credential.find(home.credentials(names.ROTATION), names.AUDIT_CREDENTIAL)
    audit = await Audit.open(admin, _WRITER, credential, home.state(names.ROTATION) / "audit")
    try:
        yield audit
    finally:
        await audit.close()


class _Steps:
    """Says on standard error what is being done, and how far it is."""

    def __init__(self) -> None:
        self._watch = Watch()

    def begin(self, step: str) -> None:
        """The next step."""
        self._watch.end()
        self._watch = Watch()
        print(f"agentbus: {step}", file=sys.stderr, flush=True)

    def __call__(self, reached: int, last: int) -> None:
        self._watch(reached, last)

    def end(self) -> None:
        """The last step is over."""
        self._watch.end()


def archives(root: Path, *, as_json: bool) -> None:
    """Print the archives of the trail; exit 1 when one of them is not what was put away."""
    log_quietly()

    async def main() -> list[dict[str, Any]]:
        async with trail_of(root) as reader:
            listed = await reader.archives()
            rows = [await _row(reader, archive) for archive in listed.all]
            return rows + [{"archive": "", "problem": broken.problem} for broken in listed.problems]

    rows = run_async(main())
    problems = [row["problem"] for row in rows if row["problem"]]
    if as_json:
        print(msgspec.json.encode(rows).decode())
    elif not rows:
        print("the trail was never rotated: it lies in stream AUDIT")
    else:
        for row in rows:
            if row["archive"]:
                print(f"{row['archive']:<32} {row['bytes']:>14} bytes  root {harmless(row['root']) or 'not known'}")
        for problem in problems:
            print(f"  {harmless(problem)}; run: agentbus audit verify")
    raise SystemExit(1 if problems else 0)


async def _row(reader: Reader, archive: Archive) -> dict[str, Any]:
    row: dict[str, Any] = {"archive": archive.name, **archive._asdict(), "bytes": 0, "root": ""}
    try:
        info = await stream_info(reader.connection, archive.name, reader.timeout_s)
    except NotProvisioned:
        return row | {"problem": f"archive {archive.name} is not there"}
    metadata = info["config"].get("metadata") or {}
    return row | {
        "bytes": info["state"]["bytes"], "root": metadata.get(ROOT, ""), "problem": problem_of(archive, info)
    }  # fmt: skip
