"""Writing a copy of a home, and making a home of one."""

from __future__ import annotations

import importlib.metadata
import json
import time
from pathlib import Path
from typing import NoReturn

from agents.cli.audit.progress import Progress
from agents.cli.audit.verify import Wanted, conclude, verified_by
from agents.cli.run import log_quietly, run_async
from agents.people import fleet_of
from bus.audit.read import Reader
from bus.audit.verifying.verify import Report
from bus.provision.closed import administered
from bus.provision.home_copy import Contents, digest_of, size_of, unpack, write_copy
from bus.provision.members import servers_of
from bus.server import require_free_port
from bus.surroundings import Home
from schemas import names
from schemas.ids import rfc3339


def backup(root: Path, file: Path, *, as_json: bool) -> None:
    """Write the file, read it again, and say what it holds."""
    log_quietly()
    home = Home(root.resolve())
    fleet = fleet_of(home)
    _require_stopped(home)
    about = Contents(
        fleet=fleet.name,
        made_at=rfc3339(time.time_ns()),
        program=importlib.metadata.version("agentbus"),
        files={},
        bytes=0,
    )
    progress = Progress(1, size_of(home.root))
    try:
        contents = write_copy(home.root, file, about, progress.at)
    finally:
        progress.end()
    size, digest = file.stat().st_size, digest_of(file)
    if as_json:
        told = {
            "sha256": digest,
            "file": str(file),
            "fleet": contents.fleet,
            "files": len(contents.files),
            "bytes": contents.bytes,
            "size": size,
        }
        print(json.dumps(told))
        return
    print(f"{file}: {len(contents.files):,} files of fleet {contents.fleet}, {size >> 10:,} KiB, read again and whole")
    print("it holds every key of the fleet: keep it as you keep those")
    print(f"keep elsewhere what tells whether it was changed: --sha256 {digest}")


def restore(root: Path, file: Path, digest: str, checkpoints: tuple[Path, ...], *, as_json: bool) -> NoReturn:
    """Make the home, and exit with what is to be said of its trail. What was restored stays, whatever that is."""
    log_quietly()
    home = Home(root.resolve())
    unpack(file, home.root, digest)
    _require_stopped(home)
    report = run_async(_verified(home, Wanted(checkpoints)))
    if not as_json:
        print(f"restored to {home.root}; next: agentbus provision --home {home.root}, then start the fleet")
    conclude(report, as_json=as_json)


async def _verified(home: Home, wanted: Wanted) -> Report:
    async with administered(fleet_of(home), home, names.ACCOUNT_AUDIT) as admin:
        return await verified_by(Reader(admin), home, wanted)


def _require_stopped(home: Home) -> None:
    """Files that a server writes to are no copy of anything.

    Raises:
        NoServer: something listens where the fleet's server does.
    """
    for server in servers_of(fleet_of(home), home):
        require_free_port(server.host, server.port)
