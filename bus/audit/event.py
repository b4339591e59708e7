"""From what happened to an event's exact bytes: such that every reader can read them, and the stream takes them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from bus.trace import Trace
from schemas.audit import AuditEvent, EventData, Outcome, encode_event
from schemas.ids import sha256_hex
from schemas.names import MAX_AUDIT_EVENT_BYTES
from schemas.redaction import REDACTED, REGISTERED, names_a_secret

Plain = str | int | float | bool
MAX_TEXT: Final = 1000
"""Longer texts in an event are cut, with `…` at the end."""
_MAX_METADATA = 40
_HEADROOM_BYTES = 2048
"""What the headers of a stored event may take of the stream's message limit."""


class Happened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happened: `kind` is a short name of the catalogue.

    `actor` is the producer unless given; of a `payload` only size and digest are kept; `trace` is the current one
    unless given.
    """

    kind: str
    action: str
    actor: str = ""
    resource: str = ""
    outcome: Outcome = "success"
    reason: str = ""
    duration_ms: float | None = None
    size: int | None = None
    payload_sha256: str = ""
    payload: bytes | None = None
    metadata: Mapping[str, Plain] | None = None
    trace: Trace | None = None

    def data(self, producer: str) -> EventData:
        """As it stands in an event."""
        size, payload_sha256 = self.size, self.payload_sha256
        if self.payload is not None:
            size, payload_sha256 = len(self.payload), sha256_hex(self.payload)
        return EventData(
            actor=self.actor or producer, action=self.action, outcome=self.outcome, resource=self.resource,
            reason=self.reason, duration_ms=self.duration_ms, size=size, payload_sha256=payload_sha256,
            metadata=plain_metadata(self.metadata) if self.metadata else {},
        )  # fmt: skip


def exact_bytes(event: AuditEvent) -> bytes:
    """What is chained, stored and signed.

    Registered secrets are taken out; texts that are too long are cut; where all is too much, the metadata goes.
    """
    if REGISTERED.are_in(_said(event)):
        event = _redacted(event)
    try:
        data = encode_event(event)
    except UnicodeEncodeError:  # half a surrogate pair, from somebody's JSON
        data = encode_event(event := _cut(event))
    if len(data) <= MAX_TEXT:
        return data  # shorter than one text that would be too long
    data = encode_event(event := _cut(event))
    if len(data) <= MAX_AUDIT_EVENT_BYTES - _HEADROOM_BYTES:
        return data
    marker: dict[str, Plain] = {"metadata_dropped": len(event.data.metadata)}
    return encode_event(replace(event, data=replace(event.data, metadata=marker)))


def plain_metadata(metadata: Mapping[str, Plain]) -> dict[str, Plain]:
    """Only what every reader can read back: no infinite numbers, no huge ones, nothing nested."""
    few = itertools.islice(metadata.items(), _MAX_METADATA)
    return {_short(str(key)): REDACTED if names_a_secret(str(key)) else _plain_value(value) for key, value in few}


def _said(event: AuditEvent) -> str:
    """Every text in it that comes from elsewhere, joined."""
    data = event.data
    said = f"{data.actor}{data.action}{data.resource}{data.reason}{event.correlationid}{event.causationid}"
    return said + "".join(_texts_in(data.metadata)) if data.metadata else said


def _texts_in(metadata: Mapping[str, Plain]) -> list[str]:
    return [value for value in metadata.values() if isinstance(value, str)] + list(metadata)


def _redacted(event: AuditEvent) -> AuditEvent:
    data = event.data
    labels = [label if isinstance(label, str) else "" for label in (event.correlationid, event.causationid)]
    texts = [data.actor, data.action, data.resource, data.reason, *labels, *_texts_in(data.metadata)]
    actor, action, resource, reason, correlation, causation, *rest = REGISTERED.redacted(texts)
    values = iter(rest)
    kept = [next(values) if isinstance(value, str) else value for value in data.metadata.values()]
    metadata = dict(zip(values, kept, strict=True))
    data = replace(data, actor=actor, action=action, resource=resource, reason=reason, metadata=metadata)
    return replace(
        event, data=data, subject=resource or UNSET, correlationid=correlation or UNSET, causationid=causation or UNSET
    )


def _cut(event: AuditEvent) -> AuditEvent:
    data = event.data
    short = EventData(
        actor=_short(data.actor), action=_short(data.action), outcome=data.outcome, resource=_short(data.resource),
        reason=_short(data.reason), duration_ms=data.duration_ms, size=data.size, payload_sha256=data.payload_sha256,
        metadata=data.metadata,
    )  # fmt: skip
    return replace(event, data=short, subject=short.resource or UNSET)


def _short(text: str) -> str:
    if text.isascii() and len(text) <= MAX_TEXT:
        return text
    text = text.encode(errors="replace").decode()
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _plain_value(value: Plain) -> Plain:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    return value if isinstance(value, bool | int | float) else _short(str(value))
