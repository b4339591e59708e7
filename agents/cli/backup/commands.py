"""Writing a copy of a home, and making a home of one."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from agents.cli.audit.progress import Progress
from agents.cli.audit.verify import Wanted, conclude, verified_by
from agents.cli.run import log_quietly, run_async
from agents.membership.hosts import alone, running_host
from agents.membership.servers import ChildServer
from agents.people import fleet_of
from agents.processes.provisioning import SERVER_UNIT
from bus.audit.read import Reader
from bus.audit.verifying.verify import Report
from bus.errors import NoServer
from bus.provision.closed import administered
from bus.provision.held import held
from bus.provision.home_copy import Contents, digest_of, require_new, size_of, still, unpack, write_copy
from bus.provision.members import servers_of
from bus.server import require_free_port
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet
from schemas.ids import rfc3339


def backup(root: Path, file: Path, *, as_json: bool) -> None:
    """Write the file, read it again, and say what it holds; a fleet that runs goes on."""
    log_quietly()
    home = Home(root.resolve())
    fleet = fleet_of(home)
    about = Contents(
        fleet=fleet.name,
        made_at=rfc3339(time.time_ns()),
        program=importlib.metadata.version("agentbus"),
        files={},
        bytes=0,
    )
    require_new(file)
    with alone(home), _at_one_moment(home, fleet) as (folder, held_s):
        progress = Progress(1, size_of(folder))
        try:
            contents = write_copy(folder, file, about, progress.at)
        finally:
            progress.end()
    told = {
        "file": str(file),
        "fleet": contents.fleet,
        "files": len(contents.files),
        "bytes": contents.bytes,
        "size": file.stat().st_size,
        "held_s": round(held_s, 3),
        "sha256": digest_of(file),
    }
    print(json.dumps(told) if as_json else _shown(told))


def _shown(told: dict[str, Any]) -> str:
    held = f"\nthe server was held for {told['held_s'] * 1000:,.0f} ms; the fleet runs on" if told["held_s"] else ""
    return (
        f"{told['file']}: {told['files']:,} files of fleet {told['fleet']}, {told['size'] >> 10:,} KiB, "
        f"read again and whole{held}\nit holds every key of the fleet: keep it as you keep those\n"
        f"keep elsewhere what tells whether it was changed: --sha256 {told['sha256']}"
    )


@contextmanager
def _at_one_moment(home: Home, fleet: Fleet) -> Iterator[tuple[Path, float]]:
    """The home itself, where nothing runs; else a copy of it, and for how long the server was held."""
    host = None if fleet.nats.cluster else run_async(running_host(home, fleet))
    if host is None:
        _require_stopped(home)
        yield home.root, 0.0
        return
    pids = [server.pid for server in host.servers if isinstance(server, ChildServer)]
    with still(home.root, partial(held, pids[0] if pids else pid_of_unit(SERVER_UNIT))) as copy:
        yield copy


def restore(root: Path, file: Path, digest: str, checkpoints: tuple[Path, ...], *, as_json: bool) -> NoReturn:
    """Make the home, and exit with what is to be said of its trail. What was restored stays, whatever that is."""
    log_quietly()
    home = Home(root.resolve())
    unpack(file, home.root, digest, lambda made: _require_stopped(Home(made)))
    report = run_async(_verified(home, Wanted(checkpoints)))
    if not as_json:
        print(f"restored to {home.root}; next: agentbus provision --home {home.root}, then start the fleet")
    conclude(report, as_json=as_json)


async def _verified(home: Home, wanted: Wanted) -> Report:
    async with administered(fleet_of(home), home, names.ACCOUNT_AUDIT) as admin:
        return await verified_by(Reader(admin), home, wanted)


def pid_of_unit(unit: str) -> int:
    """The main process of a unit that runs.

    Raises:
        NoServer: systemd knows none.
    """
    command = ["systemctl", "show", "--property=MainPID", "--value", unit]
    said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    if not said.isdigit() or said == "0":
        raise NoServer(f"systemd knows no process of {unit}; see: systemctl status {unit}")
    return int(said)


def _require_stopped(home: Home) -> None:
    """Files that a server writes to are no copy of anything.

    Raises:
        NoServer: something listens where the fleet's server does.
    """
    for server in servers_of(fleet_of(home), home):
        require_free_port(server.host, server.port)
