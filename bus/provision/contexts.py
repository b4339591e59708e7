"""Contexts for the plain `nats` command, so that people need nothing of ours installed.

Source: natscontext (`$XDG_CONFIG_HOME/nats/context/<name>.json`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bus.address import read_address
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet


def write_contexts(fleet: Fleet, home: Home, url: str) -> None:
    """Write a context for each operator, reviewer and auditor; existing ones are replaced."""
    context_of(home, "").parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, text in contexts(fleet, home, url).items():
        path.write_text(text)
        path.chmod(0o600)


def contexts(fleet: Fleet, home: Home, url: str) -> dict[Path, str]:
    """What each person's context says, by its path."""
    found = _contexts(fleet, home, url)
    return {context_of(home, person): json.dumps(context, indent=2) + "\n" for person, context in found.items()}


def context_of(home: Home, person: str) -> Path:
    """Where the context of a person is."""
    return home.contexts / "nats" / "context" / f"{person}.json"


def _contexts(fleet: Fleet, home: Home, url: str) -> dict[str, dict[str, Any]]:
    address = read_address(url)
    encrypted = {"ca": str(address.ca), "tls_first": True} if address.is_encrypted else {}

    def context(person: str, credential: str, role: str, inbox: str) -> dict[str, Any]:
        return {
            "description": f"{role} of fleet {fleet.name}",
            "url": ",".join(address.servers),
            "nkey": str(home.credentials(person) / credential),
            "inbox_prefix": inbox,
            **encrypted,
        }

    return {
        **{o: context(o, names.BUS_CREDENTIAL, "operator", names.tool_inbox_prefix(o)) for o in fleet.operators},
        **{r: context(r, names.OWN_CREDENTIAL, "reviewer", "_INBOX") for r in fleet.reviewers},
        **{a: context(a, names.OWN_CREDENTIAL, "auditor", names.inbox_prefix(a)) for a in fleet.auditors},
    }
