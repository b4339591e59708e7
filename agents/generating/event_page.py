"""The reference page of all audit events, made from the catalogue."""

from __future__ import annotations

from bus.audit.formats.ocsf import ACTIVITIES, OTHER, place_of
from schemas.audit import CATALOGUE, DOMAINS, EventType, severity_text
from schemas.audit_metadata import KINDS

_CLASSES = {
    1008: "Event Log Activity", 2004: "Detection Finding", 3002: "Authentication", 3004: "Entity Management",
    6002: "Application Lifecycle", 6003: "API Activity",
}  # fmt: skip
_HEAD = """\
# Audit events

Every event type there is; a process can write no other. `make schemas` makes this page from `schemas/audit.py`, a test keeps it current.

An event is a CloudEvent 1.0 in structured JSON ([schema](../schemas/json/AuditEvent.schema.json)) on `audit.agent.<agent>.<slot>.<domain>`, or on `audit.sys.<component>.<slot>.<domain>` where a component of the product writes it. The server lets nobody else publish there: read from the subject who wrote an event, not from its text. Its type is `agentbus.<domain>.<verb>.v1`; commands and this page call it `<domain>.<verb>`.

| field | meaning |
|---|---|
| `id` | the run of the process (`epoch`) and the event's number in it |
| `source`, `sequence`, `prev` | the producer, its own counter, SHA-256 of its event before this one: the chain that `agentbus audit verify` checks |
| `time` | the producer's clock; the server's is that of storing |
| `correlationid` | the conversation; `agentbus audit replay --tree` shows it whole |
| `causationid` | the event that led to this one: of an end (`request.completed`, `tool.finished`) its beginning, of a request the asker's `request.sent` |
| `traceparent` | the work in which it happened: all events of one handler share it |
| `data.actor`, `action`, `resource` | who wanted what, of what |
| `data.outcome`, `reason`, `duration_ms` | success, failure, denied or unknown; why; how long it took |
| `data.size`, `payload_sha256` | of the message that it is about, which is not stored itself |
| `data.reason` and the other texts | up to 1000 characters, without registered secrets, and without values that stand under the name of a secret or have the form of a known key |
| `data.metadata` | further facts: only the keys that the type's row names, each with a value of its kind |

Urgent events are written at once, others within 50 ms with the next batch. A stream is opened by `request.received` and closed by `request.answered` with the action `SendStreamingMessage` or `SubscribeToTask`. The last column is the class and activity of `agentbus audit export --format ocsf`.

What a writer passes as metadata beside that is not stored: `withheld` says of how many in the event, and `audit.withheld` names the type and the key, once in a run of a process. Events of other versions are shown with whatever they have.

Checkpoints are no events: `audit.seal` holds them as the sealer and its witnesses signed them (C2SP signed notes).

## Kinds of metadata
| kind | value |
|---|---|
"""


def event_page() -> str:
    """The whole page, as Markdown."""
    kinds = "".join(f"| {kind.name} | {kind.meaning} |\n" for kind in KINDS)
    return _HEAD + kinds + "".join(_section(domain) for domain in DOMAINS)


def _section(domain: str) -> str:
    rows = [(short, row) for short, row in CATALOGUE.items() if row.domain == domain]
    lines = "".join(_line(short, row) for short, row in rows)
    return (
        f"\n## {domain}\n| type | severity | urgent | meaning | metadata | OCSF |\n|---|---|---|---|---|---|\n{lines}"
    )


def _line(short: str, row: EventType) -> str:
    place = place_of(short)
    activity = "Other" if place.activity_id == OTHER else ACTIVITIES[place.class_uid][place.activity_id]
    where = f"{_CLASSES[place.class_uid]} {place.class_uid}, {activity} {place.activity_id}"
    urgent = "yes" if row.is_urgent else ""
    metadata = ", ".join(f"`{key}` {kind.name}" for key, kind in row.metadata.items())
    return f"| `{short}` | {severity_text(row.severity)} | {urgent} | {row.meaning} | {metadata} | {where} |\n"
