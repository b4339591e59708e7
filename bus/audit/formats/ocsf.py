"""An event as one of OCSF: which class and activity each type is, and which field goes where.

What OCSF has no place for is in `unmapped`, so nothing of an event is lost.

Source: Open Cybersecurity Schema Framework 1.8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from bus.audit.times import nanoseconds
from bus.audit.told import Told
from schemas.audit import CATALOGUE, ERROR, INFO, WARN, EventData

VERSION: Final = "1.8.0"
OTHER: Final = 99
_PRODUCT: Final = "agentbus"


class Place(NamedTuple):
    """A class of OCSF and an activity in it."""

    class_uid: int
    activity_id: int = OTHER


EVENT_LOG, FINDING, AUTHENTICATION, ENTITY, LIFECYCLE, API = 1008, 2004, 3002, 3004, 6002, 6003
ACTIVITIES: Final[dict[int, dict[int, str]]] = {
    EVENT_LOG: {4: "Archive"},
    FINDING: {1: "Create"},
    AUTHENTICATION: {1: "Logon", 2: "Logoff"},
    ENTITY: {1: "Create", 2: "Read", 3: "Update"},
    LIFECYCLE: {3: "Start", 4: "Stop"},
    API: {},
}
"""The activities that we use; all others are `Other` and have the event's own verb as name."""
_DOMAINS: Final[dict[str, Place]] = {
    "process": Place(LIFECYCLE), "config": Place(ENTITY), "policy": Place(ENTITY), "bus": Place(AUTHENTICATION, 1),
    "request": Place(API), "task": Place(API), "llm": Place(API), "tool": Place(API), "breaker": Place(API),
    "card": Place(FINDING, 1), "proposal": Place(ENTITY, 3), "apply": Place(ENTITY, 3), "audit": Place(EVENT_LOG),
}  # fmt: skip
_TYPES: Final[dict[str, Place]] = {
    "process.started": Place(LIFECYCLE, 3), "process.resumed": Place(LIFECYCLE, 3),
    "process.stopped": Place(LIFECYCLE, 4), "bus.disconnected": Place(AUTHENTICATION, 2),
    "bus.violated": Place(FINDING, 1), "proposal.sent": Place(ENTITY, 1), "proposal.made": Place(ENTITY, 1),
    "proposal.shown": Place(ENTITY, 2), "audit.set_aside": Place(EVENT_LOG, 4),
    "audit.duplicate_refused": Place(FINDING, 1), "audit.withheld": Place(FINDING, 1),
}  # fmt: skip
_SEVERITIES: Final = {INFO: (1, "Informational"), WARN: (3, "Medium"), ERROR: (4, "High")}
_STATUSES: Final = {
    "success": (1, "Success"),
    "failure": (2, "Failure"),
    "denied": (2, "Failure"),
    "unknown": (0, "Unknown"),
}


def place_of(kind: str) -> Place:
    """Where a type (its short name) belongs; of a type that this version does not know, the API's class."""
    return _TYPES.get(kind) or _DOMAINS.get(kind.split(".", maxsplit=1)[0], Place(API))


def ocsf(one: Told) -> dict[str, Any]:
    """The event in OCSF's words."""
    event, data = one.event, one.event.data
    place = place_of(event.short_type)
    severity_id, severity = _SEVERITIES.get(event.severitynumber, (0, "Unknown"))
    status_id, status = _STATUSES[data.outcome]
    name = ACTIVITIES[place.class_uid].get(place.activity_id, event.short_type)
    return {
        "category_uid": place.class_uid // 1000,
        "class_uid": place.class_uid,
        "activity_id": place.activity_id,
        "activity_name": name,
        "type_uid": place.class_uid * 100 + place.activity_id,
        "time": nanoseconds(event.time) // 1_000_000,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "message": _meaning(event.short_type),
        "actor": {"user": {"name": data.actor}},
        "metadata": _metadata(one),
        **({"status_detail": data.reason} if data.reason else {}),
        **({"duration": round(data.duration_ms)} if data.duration_ms is not None else {}),
        **_OF_CLASS[place.class_uid](one),
        "unmapped": _unmapped(one),
    }


def _meaning(kind: str) -> str:
    row = CATALOGUE.get(kind)
    return row.meaning if row else kind


def _metadata(one: Told) -> dict[str, Any]:
    event = one.event
    return {
        "version": VERSION,
        "product": {"name": _PRODUCT, "vendor_name": _PRODUCT},
        "uid": event.id,
        "original_event_uid": event.id,
        "event_code": event.type,
        "sequence": event.sequence,
        "original_time": event.time,
        "logged_time": nanoseconds(one.stored) // 1_000_000,
        "log_name": "AUDIT",
        "log_provider": one.writer,
        **({"correlation_uid": event.correlationid} if event.correlationid else {}),
        # these two know an actor in the profile of their host alone
        **({"profiles": ["host"]} if place_of(event.short_type).class_uid in {LIFECYCLE, FINDING} else {}),
    }


def _unmapped(one: Told) -> dict[str, Any]:
    event, data = one.event, one.event.data
    facts: dict[str, Any] = {
        "stream_sequence": one.sequence, "place": one.place, "subject": one.subject, "epoch": event.epoch,
        "prev": event.prev, "action": data.action, "outcome": data.outcome, "resource": data.resource,
        "size": data.size, "payload_sha256": data.payload_sha256, "traceparent": event.traceparent or None,
        "causationid": event.causationid or None, "metadata": data.metadata or None,
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value is not None and value != ""}


def _api(one: Told) -> dict[str, Any]:
    data = one.event.data
    return {
        "api": {"operation": data.action, "service": {"name": one.writer}},
        "src_endpoint": {"name": data.actor},
        "dst_endpoint": {"name": one.writer},
        **_resources(data),
    }


def _finding(one: Told) -> dict[str, Any]:
    event, data = one.event, one.event.data
    info = {
        "uid": event.id, "title": _meaning(event.short_type), "desc": data.reason or data.action,
        "created_time": nanoseconds(event.time) // 1_000_000, "types": [event.type],
    }  # fmt: skip
    return {"finding_info": info, "is_alert": True, **_resources(data)}


def _entity(one: Told) -> dict[str, Any]:
    data = one.event.data
    entity = {
        "name": data.resource or one.writer,
        "uid": data.resource or one.writer,
        "type": one.event.short_type.split(".")[0],
    }
    version = data.metadata.get("tree") or data.metadata.get("policy")
    return {
        "entity": entity | ({"version": str(version)} if version else {}),
        **({"comment": data.reason} if data.reason else {}),
    }


def _resources(data: EventData) -> dict[str, Any]:
    return {"resources": [{"uid": data.resource, "name": data.resource}]} if data.resource else {}


_OF_CLASS: Final[dict[int, Callable[[Told], dict[str, Any]]]] = {
    EVENT_LOG: lambda one: {"log_name": "AUDIT", "log_provider": one.writer},
    FINDING: _finding,
    AUTHENTICATION: lambda one: {
        "user": {"name": one.writer}, "service": {"name": "nats"},
    },
    ENTITY: _entity,
    LIFECYCLE: lambda one: {"app": {"name": one.writer, "vendor_name": _PRODUCT, "uid": one.event.source}},
    API: _api,
}  # fmt: skip
