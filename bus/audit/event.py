"""From what happened to an event's exact bytes: such that every reader can read them, and the stream takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from bus.trace import Trace
from schemas.audit import AuditEvent, EventData, Outcome, encode_event
from schemas.audit_metadata import WITHHELD, Keys
from schemas.ids import sha256_hex
from schemas.masking import SHORTEST_RUN, masked_text, masked_texts, may_be_one, may_name_one
from schemas.redaction import REGISTERED

Plain = str | int | float | bool
MAX_TEXT: Final = 1000
"""Longer texts in an event are cut, with `…` at the end."""
_LOOKED_AT = 4 * MAX_TEXT
"""So much of a text is looked at for secrets, and may become shorter by that; the rest would be cut off anyway."""


class Happened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happened: `kind` is a short name of the catalogue.

    `actor` is the producer unless given; of a `payload` only size and digest are kept; what is None in the `metadata`
    is not known, and left out; `trace` is the current one unless given.
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
    metadata: Mapping[str, Plain | None] | None = None
    trace: Trace | None = None

    def data(self, producer: str, keys: Keys, withheld: list[tuple[str, str]]) -> EventData:
        """As it stands in an event whose row names `keys`; of what that does not let pass, kind and key go to `withheld`."""
        size, payload_sha256 = self.size, self.payload_sha256
        if self.payload is not None:
            size, payload_sha256 = len(self.payload), sha256_hex(self.payload)
        return EventData(
            actor=self.actor or producer, action=self.action, outcome=self.outcome, resource=self.resource,
            reason=self.reason, duration_ms=self.duration_ms, size=size, payload_sha256=payload_sha256,
            metadata=self._allowed(self.metadata, keys, withheld) if self.metadata else {},
        )  # fmt: skip

    def _allowed(
        self, metadata: Mapping[str, Plain | None], keys: Keys, withheld: list[tuple[str, str]]
    ) -> dict[str, Plain]:
        found: dict[str, Plain] = {}
        refused = 0
        for key, value in metadata.items():
            kind = keys.get(key)
            if value is None:
                continue
            if kind is not None and kind.fits(value):
                found[key] = value
            else:
                refused += 1
                withheld.append((self.kind, str(key)))
        if refused:
            found[WITHHELD] = refused
        return found


def exact_bytes(event: AuditEvent) -> bytes:
    """What is chained, stored and signed: without secrets, and with texts that are too long cut."""
    if _is_suspect(event):
        event = _redacted(event)
    try:
        data = encode_event(event)
    except UnicodeEncodeError:  # half a surrogate pair, from somebody's JSON
        data = encode_event(event := _cut(event))
    if len(data) <= MAX_TEXT:
        return data  # shorter than one text that would be too long
    return encode_event(_cut(event))


def _is_suspect(event: AuditEvent) -> bool:
    said, data = _said(event), event.data
    if REGISTERED.are_in(said) or may_name_one(said):
        return True
    for text in (data.resource, data.reason, data.action, data.actor):
        if len(text) >= SHORTEST_RUN and may_be_one(text):
            return True
    return False


def _said(event: AuditEvent) -> str:
    """Every text in it that comes from elsewhere, joined."""
    data = event.data
    said = f"{data.actor}{data.action}{data.resource}{data.reason}{event.correlationid or ''}{event.causationid or ''}"
    return said + "".join(_texts_in(data.metadata)) if data.metadata else said


def _texts_in(metadata: Mapping[str, Plain]) -> list[str]:
    return [value for value in metadata.values() if isinstance(value, str)]


def _redacted(event: AuditEvent) -> AuditEvent:
    data = event.data
    labels = [label if isinstance(label, str) else "" for label in (event.correlationid, event.causationid)]
    texts = [data.actor, data.action, data.resource, data.reason, *labels, *_texts_in(data.metadata)]
    said = REGISTERED.redacted(texts)
    actor, action, resource, reason = masked_texts(said[:4], _LOOKED_AT)
    correlation, causation, *rest = map(masked_text, said[4:])
    values = iter(rest)
    metadata = {key: next(values) if isinstance(value, str) else value for key, value in data.metadata.items()}
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
