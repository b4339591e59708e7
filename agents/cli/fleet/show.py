"""`agentbus fleet show`: who is in the fleet, by which keys, and what each may do."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from agents.cli.run import log_quietly
from agents.membership.roles import PEOPLE, may, members_of
from agents.people import fleet_of
from bus.credentials import Credential
from bus.provision.contexts import context_of
from bus.provision.permissions import users_of
from bus.surroundings import Home
from schemas.fleet import Fleet

_DAY_S = 24 * 3600


def show(root: Path, *, as_json: bool) -> None:
    """Print a row for each member."""
    log_quietly()
    home = Home(root.resolve())
    fleet = fleet_of(home)
    rows = [_row(fleet, home, name, role) for name, role in members_of(fleet).items()]
    if as_json:
        print(json.dumps({"fleet": fleet.name, "home": str(home.root), "members": rows}, indent=2))
        return
    missing = "not made" if os.access(home.credentials(""), os.R_OK | os.X_OK) else "not yours to see"
    print(f"{'NAME':<18}{'ROLE':<10}{'KEYS':<31}{'AGE':<7}MAY")
    for row in rows:
        keys = " ".join(f"{key['public'][:8]}…" for key in row["keys"]) or missing
        ages = [key["age_days"] for key in row["keys"]]
        print(f"{row['name']:<18}{row['role']:<10}{keys:<31}{f'{max(ages)} d' if ages else '':<7}{row['may']}")


def _row(fleet: Fleet, home: Home, name: str, role: str) -> dict[str, Any]:
    context = context_of(home, name)
    return {
        "name": name,
        "role": role,
        "keys": _keys(fleet, home, name),
        "context": str(context) if role in PEOPLE and context.exists() else "",
        "may": may(fleet, name),
    }


def _keys(fleet: Fleet, home: Home, name: str) -> list[dict[str, Any]]:
    """The keys that open a connection, as the server's configuration names them."""
    paths = [(user, home.credentials(name) / user.credential) for user in users_of(fleet) if user.principal == name]
    return [
        {
            "file": str(path),
            "account": user.account,
            "public": Credential(path).public_key(),
            "age_days": int((time.time() - path.stat().st_mtime) / _DAY_S),
        }
        for user, path in paths
        if path.exists()
    ]
