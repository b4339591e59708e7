"""A copy of the trail in a folder, and its verification without a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from agents.cli.audit.progress import Progress
from agents.cli.audit.verify import Wanted, conclude, knowledge
from agents.cli.run import log_quietly, run_async
from agents.people import auditor, fleet_of
from bus.audit.copies.backup import Manifest, back_up, damaged_parts, read_manifest, records_in
from bus.audit.read import Reader
from bus.audit.verifying.verify import Report, Verifier
from bus.audit.verifying.verify_stream import find_heads
from bus.audit.writing.head import Head
from bus.connection import Connection
from bus.surroundings import Home
from schemas.errors import AgentbusError


def backup(root: Path, directory: Path) -> None:
    """Add to the backup in `directory` what the stream has beyond it."""
    log_quietly()
    home = Home(root.resolve())

    async def main() -> Manifest:
        heads = find_heads(home.root / "state")
        async with auditor(home, fleet_of(home)) as connection:
            return await copy_lines(connection, directory, heads)

    before = read_manifest(directory).last
    manifest = run_async(main())
    added = manifest.last - before
    print(f"{directory}: up to stream sequence {manifest.last}, {added} more than before")


async def copy_lines(connection: Connection, directory: Path, heads: Sequence[Head]) -> Manifest:
    """`back_up` with a bar."""
    reader = Reader(connection)
    progress = Progress(read_manifest(directory).last + 1, (await reader.bounds()).last)
    try:
        return await back_up(reader, directory, heads, lambda reached, _: progress.at(reached))
    finally:
        progress.end()


def verify_offline(root: Path, directory: Path, wanted: Wanted, *, as_json: bool) -> NoReturn:
    """Check the backup in `directory` with the keys that the home has, without a server, and exit with the verdict."""
    log_quietly()
    conclude(verified_copy(Home(root.resolve()), directory, wanted), as_json=as_json)


def verified_copy(home: Home, directory: Path, wanted: Wanted, *, is_live: bool = False) -> Report:
    """What is to be said of the backup in `directory`; `is_live`: as of a stream, which goes as far as this host knows."""
    try:
        manifest = read_manifest(directory)
        heads = (*manifest.heads, *(find_heads(home.root / "state") if is_live else ()))
        known = knowledge(home, wanted, is_live=is_live)
    except AgentbusError as error:
        return Report("cannot tell", str(error))
    verifier = Verifier(known.trust, heads, seals=known.seals, begin=known.begin)
    progress = Progress(1, manifest.last)
    try:
        for record in records_in(directory):
            verifier.add(record)
            progress.at(record.sequence)
    except AgentbusError as error:
        return verifier.stop(f"{error}; damaged files: {', '.join(damaged_parts(directory))}")
    finally:
        progress.end()
    if manifest.last < known.begin.after:
        verifier.ended_before(manifest.last)
    verifier.missing_after(manifest.last)
    return verifier.finish()
