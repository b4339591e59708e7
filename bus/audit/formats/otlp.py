"""An event as an OpenTelemetry log record: a line of JSON that a collector's OTLP receivers and file readers take.

Source: OpenTelemetry protocol 1.x, JSON encoding (64-bit numbers as text, ids as hexadecimal) and its file format
(one `LogsData` in a line); logs data model; semantic conventions for services and for models.
"""

from __future__ import annotations

import re
from typing import Any, Final

from bus.audit.formats.render import summary
from bus.audit.times import nanoseconds
from bus.audit.told import Told

SCOPE: Final = "agentbus.audit"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
Value = str | int | float | bool


def otlp(one: Told) -> dict[str, Any]:
    """The event as `LogsData`."""
    event = one.event
    record: dict[str, Any] = {
        "timeUnixNano": str(nanoseconds(event.time)),
        "observedTimeUnixNano": str(nanoseconds(one.stored)),
        "severityNumber": event.severitynumber,
        "severityText": event.severitytext,
        "eventName": event.type,
        "body": _value(summary(event)),
        "attributes": [{"key": key, "value": _value(value)} for key, value in _attributes(one).items()],
    }
    if match := _TRACEPARENT.fullmatch(event.traceparent or ""):
        record |= {"traceId": match[1], "spanId": match[2], "flags": int(match[3], 16)}
    resource: dict[str, Value] = {
        "service.name": one.writer, "service.namespace": "agentbus", "service.instance.id": event.epoch
    }  # fmt: skip
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": key, "value": _value(value)} for key, value in resource.items()]},
                "scopeLogs": [{"scope": {"name": SCOPE}, "logRecords": [record]}],
            }
        ]
    }


def _attributes(one: Told) -> dict[str, Value]:
    event, data = one.event, one.event.data
    facts: dict[str, Value | None] = {
        "event.id": event.id, "actor": data.actor, "action": data.action, "resource": data.resource,
        "outcome": data.outcome, "reason": data.reason, "duration_ms": data.duration_ms, "size": data.size,
        "payload_sha256": data.payload_sha256, "correlation": event.correlationid or None,
        "causation": event.causationid or None, "sequence": event.sequence, "prev": event.prev,
        "slot": one.slot, "stream.sequence": one.sequence, "stream.place": one.place, "stream.subject": one.subject,
    }  # fmt: skip
    named = {f"agentbus.{name}": value for name, value in facts.items() if value is not None and value != ""}
    more = {f"agentbus.metadata.{name}": value for name, value in data.metadata.items()}
    return named | more | (_of_model(one) if event.short_type == "llm.called" else {})


def _of_model(one: Told) -> dict[str, Value]:
    provider, _, model = one.event.data.resource.partition("/")
    usage = one.event.data.metadata
    names = {"input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens"}
    counted = {names[name]: usage[name] for name in names if name in usage}
    return {"gen_ai.provider.name": provider, "gen_ai.request.model": model, "gen_ai.operation.name": "chat"} | counted


def _value(value: Value) -> dict[str, Any]:
    """An `AnyValue`."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
