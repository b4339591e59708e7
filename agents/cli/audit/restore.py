"""A copy of the trail that a server takes back, and putting it back where the trail was lost. The fleet is stopped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

from agents.cli.audit.backup import copy_lines, verified_copy
from agents.cli.audit.verify import Wanted, conclude, verified_by
from agents.cli.run import log_quietly, run_async
from agents.people import fleet_of
from bus.audit.archives import Archive, Archives
from bus.audit.copies.backup import read_manifest
from bus.audit.copies.snapshot import Contents, put_back, read_contents, take_snapshot
from bus.audit.read import Reader
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads
from bus.connection import Connection
from bus.errors import NotProvisioned
from bus.jetstream import call, found_or_none
from bus.provision.closed import administered
from bus.provision.provision import grant_archives
from bus.provision.rotation import archive_config, forget, named_archives, removed
from bus.provision.store_key import refuse_unread
from bus.provision.streams import Stream, streams_of
from bus.surroundings import Home
from schemas import names
from schemas.errors import InvalidDocument


def snapshot(root: Path, directory: Path) -> None:
    """Bring the backup in `directory` up to now, and put the server's own archive of the same moment beside it."""
    log_quietly()
    contents = run_async(taken(Home(root.resolve()), directory))
    print(f"{directory}: up to stream sequence {contents.last}; it can be read by whoever has it, and restored from")


async def taken(home: Home, directory: Path) -> Contents:
    """What the snapshot of AUDIT holds; each archive has one of its own beside it."""
    heads = find_heads(home.root / "state")
    async with administered(fleet_of(home), home, names.ACCOUNT_AUDIT) as admin:
        await copy_lines(admin, directory, heads)
        for archive in (await Reader(admin).archives()).all:
            if not _is_taken(directory, archive):
                await take_snapshot(admin, directory, archive.name)
        return await take_snapshot(admin, directory)


def _is_taken(directory: Path, archive: Archive) -> bool:
    """An archive never changes: it is taken once."""
    try:
        return read_contents(directory, archive.name).last == archive.last
    except InvalidDocument:
        return False


def restore(root: Path, directory: Path, checkpoints: tuple[Path, ...], *, as_json: bool) -> NoReturn:
    """Put the trail back from `directory`, and exit with what is to be said of it; only a sound one stays."""
    log_quietly()
    home = Home(root.resolve())
    wanted = Wanted(checkpoints)
    _require_one_moment(directory)
    report = verified_copy(home, directory, wanted, is_live=True)
    if report.verdict == "sound":
        report = run_async(restored(home, directory, wanted))
    if report.verdict != "sound":
        print("agentbus: nothing was restored; of the copy is to be said:", file=sys.stderr, flush=True)
    conclude(report, as_json=as_json)


def _require_one_moment(directory: Path) -> None:
    """The lines, which are verified first, are of what the archive holds; each archive of a rotated trail is there."""
    last, contents = read_manifest(directory).last, read_contents(directory)
    if last != contents.last:
        raise InvalidDocument(
            f"the snapshot in {directory} ends at stream sequence {contents.last}, the backup beside it at {last}; "
            "restore from a folder to which nothing was added since its snapshot"
        )
    for archive in _archives_in(directory):
        read_contents(directory, archive.name)


def _archives_in(directory: Path) -> tuple[Archive, ...]:
    """As AUDIT listed them when the snapshot was taken."""
    return Archives.listed({"metadata": read_contents(directory).metadata}).all


async def restored(home: Home, directory: Path, wanted: Wanted) -> Report:
    """What is to be said of what was put back; it stays only if it is sound."""
    fleet = fleet_of(home)
    archives = _archives_in(directory)
    async with administered(fleet, home, names.ACCOUNT_AUDIT) as admin:
        stream = next(one for one in streams_of(fleet) if one.name == names.AUDIT)
        await _require_room(admin, home, stream)
        configs = [*(archive_config(stream.config, archive) for archive in archives), stream.config]
        is_sound = False
        try:
            report = await _put_back(admin, home, directory, configs, wanted)
            is_sound = report.verdict == "sound"
        finally:
            if not is_sound:
                for config in configs:
                    await _remove(admin, home, config["name"])
    if is_sound:
        await forget(home)  # the server has ended; it does not sync what it restores
        grant_archives(fleet, home, (archive.name for archive in archives))
    return report


async def _put_back(
    admin: Connection, home: Home, directory: Path, configs: list[dict[str, Any]], wanted: Wanted
) -> Report:
    for config in configs:
        await put_back(admin, directory, config)
    report, last = await verified_by(Reader(admin), home, wanted), read_manifest(directory).last
    if report.last_sequence == last:
        return report
    reason = f"the archive gave messages up to {report.last_sequence}, the backup beside it has {last}"
    return Report("tampered" if report.found else "cannot tell", reason, report.findings, report.found)


async def _require_room(admin: Connection, home: Home, stream: Stream) -> None:
    """There is no stream and no archive, or an empty one, which is removed.

    Raises:
        InvalidDocument: it holds something. NotProvisioned: the server could not read what lies there.
    """
    there, last = await named_archives(admin), 0
    try:
        last = (await Reader(admin).bounds()).last
    except NotProvisioned:
        refuse_unread(stream, (home.store,))
    if last or there:
        found = f"stream {names.AUDIT} is there, up to sequence {last}" if last else f"archive {there[0]} is there"
        raise InvalidDocument(
            f"{found}, and a restore replaces nothing: what is left "
            f"of a trail is evidence. With the fleet stopped, move {_files(home, names.AUDIT)}* to where you keep it, and repeat"
        )
    await _remove(admin, home, names.AUDIT)


async def _remove(admin: Connection, home: Home, stream: str) -> None:
    """Delete a stream, if there is one, and wait until its files are gone: nothing is made in their place before."""
    if await found_or_none(admin, f"STREAM.INFO.{stream}"):
        await call(admin, f"STREAM.DELETE.{stream}")
    await removed(_files(home, stream))


def _files(home: Home, stream: str) -> Path:
    return home.store / "jetstream" / names.ACCOUNT_AUDIT / "streams" / stream
