"""The files that follow from the code: JSON Schemas, the pages of events, numbers, permissions and keys, nats-server's side of the example fleet.

They are for readers and for tools in other languages; nothing of the product reads them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from agents.generating.configuration_page import configuration_page
from agents.generating.event_page import event_page
from agents.generating.metric_page import metric_page
from agents.generating.permission_page import permission_page
from agents.home import EXAMPLE
from agents.memory import Session
from approvals.change.kinds import FLEET_FILE
from bus.provision.members import servers_of
from bus.provision.packet_filter import packet_filter
from bus.provision.permissions import users_of
from bus.provision.server_config import server_config
from bus.provision.streams import streams_of
from bus.surroundings import Home
from schemas import sessions
from schemas.a2a import A2AObject
from schemas.agent import AgentFile
from schemas.approvals import Evaluation, OutcomeRecord, Proposal, Receipt
from schemas.audit import AuditEvent
from schemas.documents import Document, parse_yaml
from schemas.fleet import Fleet
from schemas.pipeline import Pipeline
from schemas.policy import Policy

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = "schemas/json"
_SESSIONS = (
    sessions.ListSessionsRequest, sessions.ListSessionsResponse, sessions.SessionRequest, sessions.StoredData,
    sessions.Deleted, Session,
)  # fmt: skip
WIRE: tuple[type[Any], ...] = (
    *A2AObject.__subclasses__(),
    *_SESSIONS,
    AuditEvent,
    Proposal,
    Receipt,
    OutcomeRecord,
    Evaluation,
)
FILES: tuple[type[Document], ...] = (Fleet, Policy, AgentFile, Pipeline)
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_HOME = Home(Path("/var/lib/agentbus"))


def documents() -> dict[str, str]:
    """Every generated file: path below the checkout to text."""
    fleet = parse_yaml((EXAMPLE / FLEET_FILE).read_text(), Fleet, FLEET_FILE)
    wire = {kind.__name__: msgspec.json.schema(kind) for kind in WIRE}
    files = {kind.__name__: kind.model_json_schema() for kind in FILES}
    return {
        **{f"{SCHEMAS}/{name}.schema.json": _schema(name, body) for name, body in (wire | files).items()},
        "agents/CONFIGURATION.md": configuration_page(),
        "nats/AUDIT_EVENTS.md": event_page(),
        "nats/PERMISSIONS.md": permission_page(),
        "systemd/METRICS.md": metric_page(),
        "nats/streams.json": _pretty([msgspec.to_builtins(stream) for stream in streams_of(fleet)]),
        "nats/packet-filter.nft": packet_filter(fleet),
        "nats/nats-server.conf": server_config(fleet, servers_of(fleet, _HOME)[0], _placeholders(fleet)),
    }


def stale(root: Path = ROOT) -> list[str]:
    """The paths below `root` that are missing, differ, or belong to no type any more."""
    wanted = documents()
    left_over = {f"{SCHEMAS}/{path.name}" for path in (root / SCHEMAS).glob("*")} - wanted.keys()
    changed = {path for path, text in wanted.items() if not _holds(root / path, text)}
    return sorted(left_over | changed)


def write(root: Path = ROOT) -> list[str]:
    """Bring every generated file below `root` up to date; returns the paths that changed."""
    wanted, changed = documents(), stale(root)
    for path in changed:
        if path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(wanted[path])
        else:
            (root / path).unlink()
    return changed


def _schema(name: str, body: dict[str, Any]) -> str:
    return _pretty({"$schema": _DIALECT, "$id": f"urn:agentbus:schema:{name}", **body})


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _placeholders(fleet: Fleet) -> dict[tuple[str, str], str]:
    """Where provisioning puts public keys: whose they are."""
    return {
        (user.principal, user.credential): f"<{user.principal} {user.credential.removesuffix('.nk')} key>"
        for user in users_of(fleet)
    }


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text
