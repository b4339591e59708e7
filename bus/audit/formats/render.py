"""Events as lines for people.

    09:14:03.120  greeter  request.answered  ops → SendMessage  ok 12 ms
    09:14:04.871  greeter  request.refused   ops → SendMessage  denied: too many requests

Everything that came from a message is made harmless first, so no event can move the cursor, hide
itself or reorder the line.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Literal

import msgspec

from bus.audit.read import Record
from bus.audit.tlog.handover import is_handover
from schemas import names, subjects
from schemas.audit import CATALOGUE, AuditEvent, decode_event
from schemas.text import harmless

Piece = Literal["time", "source", "type", "actor", "action", "outcome", "bad", "detail"]
Markup = Callable[[Piece, str], str]
_KIND_WIDTH = max(map(len, CATALOGUE))
_SOURCE_WIDTH = 10
_OUTCOMES = {"success": "ok", "failure": "failed", "denied": "denied", "unknown": "unknown"}


def plain(_piece: Piece, text: str) -> str:
    """No colours."""
    return text


def render_event(event: AuditEvent, *, zone: datetime.tzinfo = datetime.UTC, markup: Markup = plain) -> str:
    """One line. `markup` wraps each piece, already harmless, in what the caller's terminal understands."""
    data = event.data
    source = _source(event.source)
    actor = "" if data.actor == source else f"{harmless(data.actor)} → "
    columns = [
        markup("time", _clock(event.time, zone)),
        markup("source", harmless(source).ljust(_SOURCE_WIDTH)),
        markup("type", harmless(event.short_type).ljust(_KIND_WIDTH)),
        markup("actor", actor) + markup("action", harmless(data.action)),
        markup("outcome" if data.outcome == "success" else "bad", _outcome(event)),
    ]
    if detail := _detail(event):
        columns.append(markup("detail", detail))
    return "  ".join(columns)


def summary(event: AuditEvent) -> str:
    """What happened, without when and by whom it was written."""
    actor = f"{harmless(event.data.actor)} → " if event.data.actor != _source(event.source) else ""
    return f"{harmless(event.short_type)}: {actor}{harmless(event.data.action)} {_outcome(event)}"


def render_record(record: Record, *, zone: datetime.tzinfo = datetime.UTC, markup: Markup = plain) -> str:
    """One line for a record, whatever is in it."""
    if record.subject == subjects.SEAL and not record.problem:
        return _checkpoint_line(record, zone, markup)
    try:
        event = decode_event(record.payload)
    except msgspec.DecodeError:
        return "  ".join((
            markup("time", _clock(record.time, zone)),
            markup("bad", f"not an audit event ({len(record.payload)} bytes) on {harmless(record.subject)}"),
        ))  # fmt: skip
    line = render_event(event, zone=zone, markup=markup)
    return line if not record.problem else f"{line}  {markup('bad', harmless(record.problem))}"


def _checkpoint_line(record: Record, zone: datetime.tzinfo, markup: Markup) -> str:
    text, _, signatures = record.payload.decode(errors="replace").rpartition("\n\n")
    kind, at = ("hand-over", 2) if is_handover(record.payload) else ("checkpoint", 1)
    size = text.split("\n")[at] if text.count("\n") >= at else "?"
    said = "from {size} messages on another key signs" if at == 2 else "the first {size} messages are sealed"
    return "  ".join((
        markup("time", _clock(record.time, zone)),
        markup("source", names.SEALER.ljust(_SOURCE_WIDTH)),
        markup("type", kind.ljust(_KIND_WIDTH)),
        markup("action", said.format(size=harmless(size)[:20])),
        markup("detail", f"{signatures.count(chr(10))} signatures"),
    ))  # fmt: skip


def _source(source: str) -> str:
    return source.rsplit(":", 1)[-1]


def _clock(time: str, zone: datetime.tzinfo) -> str:
    try:
        moment = datetime.datetime.fromisoformat(time)
    except ValueError:
        return harmless(time)[:12].ljust(12)
    local = moment.astimezone(zone) if moment.tzinfo else moment
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def _outcome(event: AuditEvent) -> str:
    data = event.data
    words = _OUTCOMES[data.outcome]
    if data.reason and data.outcome != "success":
        words += f": {harmless(data.reason)}"
    if data.duration_ms is not None:
        words += f" {data.duration_ms:.0f} ms" if data.duration_ms >= 10 else f" {data.duration_ms:.1f} ms"
    return words


def _detail(event: AuditEvent) -> str:
    data = event.data
    facts = [harmless(data.resource)] if data.resource else []
    if data.size is not None:
        facts.append(f"{data.size} B")
    facts.extend(f"{harmless(key)}={harmless(str(value))}" for key, value in data.metadata.items())
    return " ".join(facts)
