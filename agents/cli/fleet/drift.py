"""`agentbus provision --check`: what is otherwise than provisioning would make it, a line each, and nothing is changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from agents.cli.run import log_quietly, run_async
from agents.observing.drift import drifted
from agents.people import fleet_of
from bus.surroundings import Home
from schemas.text import harmless


def check(root: Path, *, as_json: bool) -> None:
    """Print each difference with its fix; exit 1 when there is any."""
    log_quietly()
    home = Home(root.resolve())
    looked, is_running = run_async(drifted(fleet_of(home), home))
    if as_json:
        found = [asdict(drift) for drift in looked.found]
        print(json.dumps({"looked_at": looked.count, "is_server_running": is_running, "drift": found}, indent=2))
    else:
        for drift in looked.found:
            print(f"{drift.kind}: {harmless(drift.what)} {harmless(drift.says)}\n  → {drift.fix}")
        server = "" if is_running else "; the server does not run, so what it has loaded was not looked at"
        print(f"looked at {looked.count}, {len(looked.found)} otherwise than provisioned{server}")
    raise SystemExit(1 if looked.found else 0)
