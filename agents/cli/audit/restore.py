"""A copy of the trail that a server takes back, and putting it back where the trail was lost. The fleet is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import NoReturn

from agents.cli.audit.backup import copy_lines, verified_copy
from agents.cli.audit.progress import Watch
from agents.cli.audit.verify import Wanted, conclude, knowledge
from agents.cli.people import fleet_of
from agents.cli.run import log_quietly, run_async
from bus.audit.backup import read_manifest
from bus.audit.read import Reader
from bus.audit.snapshot import Contents, put_back, read_contents, take_snapshot
from bus.audit.verify import Report, Verifier
from bus.audit.verify_stream import find_heads, verify_with
from bus.connection import Connection
from bus.errors import NotProvisioned
from bus.jetstream import ApiError, call
from bus.provision.closed import administered
from bus.provision.store_key import refuse_unread
from bus.provision.streams import Stream, streams_of
from bus.surroundings import Home
from schemas import names
from schemas.errors import DeadlineExceeded, InvalidDocument

_REMOVED_S = 30.0


def snapshot(root: Path, directory: Path) -> None:
    """Bring the backup in `directory` up to now, and put the server's own archive of the same moment beside it."""
    log_quietly()
    home = Home(root.resolve())

    async def main() -> Contents:
        heads = find_heads(home.root / "state")
        async with administered(fleet_of(home), home, names.ACCOUNT_AUDIT) as admin:
            await copy_lines(admin, directory, heads)
            return await take_snapshot(admin, directory)

    contents = run_async(main())
    print(f"{directory}: up to stream sequence {contents.last}; it can be read by whoever has it, and restored from")


def restore(root: Path, directory: Path, checkpoints: tuple[Path, ...], *, as_json: bool) -> NoReturn:
    """Put the trail back from `directory`, and exit with what is to be said of it; only a sound one stays."""
    log_quietly()
    home = Home(root.resolve())
    wanted = Wanted(checkpoints)
    _require_one_moment(directory)
    report = verified_copy(home, directory, wanted, is_live=True)
    if report.verdict == "sound":
        report = run_async(_restored(home, directory, wanted))
    if report.verdict != "sound":
        print("agentbus: nothing was restored; of the copy is to be said:", file=sys.stderr, flush=True)
    conclude(report, as_json=as_json)


def _require_one_moment(directory: Path) -> None:
    """The lines, which are verified first, are of what the archive holds."""
    last, archived = read_manifest(directory).last, read_contents(directory).last
    if last != archived:
        raise InvalidDocument(
            f"the snapshot in {directory} ends at stream sequence {archived}, the backup beside it at {last}; "
            "restore from a folder to which nothing was added since its snapshot"
        )


async def _restored(home: Home, directory: Path, wanted: Wanted) -> Report:
    fleet = fleet_of(home)
    async with administered(fleet, home, names.ACCOUNT_AUDIT) as admin:
        stream = next(one for one in streams_of(fleet) if one.name == names.AUDIT)
        await _require_room(admin, home, stream)
        is_sound = False
        try:
            await put_back(admin, directory, stream.config)
            report = await _verified(Reader(admin), home, wanted, read_manifest(directory).last)
            is_sound = report.verdict == "sound"
        finally:
            if not is_sound:
                await _remove(admin, home)
        return report


async def _require_room(admin: Connection, home: Home, stream: Stream) -> None:
    """There is no stream, or an empty one, which is removed.

    Raises:
        InvalidDocument: it holds something. NotProvisioned: the server could not read what lies there.
    """
    try:
        bounds = await Reader(admin).bounds()
    except NotProvisioned:
        refuse_unread(stream, (home.store,))
        return
    if bounds.last:
        raise InvalidDocument(
            f"stream {names.AUDIT} is there, up to sequence {bounds.last}, and a restore replaces nothing: what is left "
            f"of a trail is evidence. With the fleet stopped, move {_files(home)} to where you keep it, and repeat"
        )
    await _remove(admin, home)


async def _remove(admin: Connection, home: Home) -> None:
    """Delete the stream, if there is one, and wait until its files are gone: nothing is made in their place before."""
    with contextlib.suppress(ApiError):
        await call(admin, f"STREAM.DELETE.{names.AUDIT}")
    deadline = time.monotonic() + _REMOVED_S
    while _files(home).exists():
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"the server did not remove {_files(home)} within {_REMOVED_S:g} s")
        await asyncio.sleep(0.02)


def _files(home: Home) -> Path:
    return home.store / "jetstream" / names.ACCOUNT_AUDIT / "streams" / names.AUDIT


async def _verified(reader: Reader, home: Home, wanted: Wanted, last: int) -> Report:
    watch = Watch()
    known = knowledge(home, wanted)
    verifier = Verifier(known.trust, tuple(find_heads(home.root / "state")), seals=known.seals)
    try:
        report = await verify_with(reader, verifier, watch)
    finally:
        watch.end()
    if report.last_sequence != last:
        return verifier.stop(f"the archive gave messages up to {report.last_sequence}, the backup beside it has {last}")
    return report
