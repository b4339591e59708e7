"""`agentbus provision --check`: what is otherwise than provisioning would make it, a line each, and nothing is changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from agents.cli.people import fleet_of
from agents.cli.run import log_quietly, run_async
from approvals.applying.provisioned import Provisioned
from approvals.git import Git
from bus.provision.drift.drift import PROVISION, Drift, Looked
from bus.provision.drift.files import certificates, generated, keys_of
from bus.provision.drift.serving import served, stored
from bus.surroundings import Home
from schemas.fleet import Fleet
from schemas.text import harmless


def check(root: Path, *, as_json: bool) -> None:
    """Print each difference with its fix; exit 1 when there is any."""
    log_quietly()
    home = Home(root.resolve())
    looked, is_running = run_async(_looked(fleet_of(home), home))
    if as_json:
        found = [asdict(drift) for drift in looked.found]
        print(json.dumps({"looked_at": looked.count, "is_server_running": is_running, "drift": found}, indent=2))
    else:
        for drift in looked.found:
            print(f"{drift.kind}: {harmless(drift.what)} {harmless(drift.says)}\n  → {drift.fix}")
        server = "" if is_running else "; the server does not run, so what it has loaded was not looked at"
        print(f"looked at {looked.count}, {len(looked.found)} otherwise than provisioned{server}")
    raise SystemExit(1 if looked.found else 0)


async def _looked(fleet: Fleet, home: Home) -> tuple[Looked, bool]:
    total, keys = keys_of(fleet, home)
    total += _rules(home) + stored(fleet, home) + certificates(fleet, home, datetime.now(UTC))
    if keys is not None:
        total += generated(fleet, home, keys)
    running = await served(fleet, home)
    return total + (running or Looked(0)), running is not None


def _rules(home: Home) -> Looked:
    """Under systemd: whether what provisioning holds to be in force is what the repository says."""
    if not home.provisioned.exists():
        return Looked(0)
    with Provisioned.of(home).git.scratch() as book, Git(home.repository).scratch() as source:
        if book.tree_of_fleet() == source.tree_of_fleet():
            return Looked(1)
    says = "says otherwise than what was provisioned last, and nobody's approval put it in force"
    return Looked(
        1, (Drift("rules", str(home.repository), says, f"git -C {home.repository} log main, then: {PROVISION}"),)
    )
