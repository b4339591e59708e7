"""The trail in the formats of others: CloudEvents, OpenTelemetry log records, OCSF, CSV. A line for each event.

`cloudevents` has the exact bytes that were chained and signed, so digests can be checked in it; the others are for
looking at, and for the tools of those who look.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Final

import msgspec

from bus.audit.formats.ocsf import ocsf
from bus.audit.formats.otlp import otlp
from bus.audit.read import Record
from bus.audit.told import Told, told
from schemas.text import harmless

Format = Callable[[Record, Told], bytes]
COLUMNS: Final = (
    "stream_sequence", "place", "stored", "time", "writer", "slot", "type", "severity", "actor", "action", "resource",
    "outcome", "reason", "duration_ms", "size", "payload_sha256", "correlationid", "causationid", "traceparent", "id",
    "sequence", "epoch", "metadata",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@")


def line_in(to: str, record: Record) -> bytes | None:
    """One event (see `events_of`) as a line of the format `to`; None where it is no event on a producer's subject."""
    found = told(record)
    return FORMATS[to](record, found[0]._replace(place=record.place)) if found else None


def header_of(to: str) -> bytes:
    """What stands before the first line."""
    return _row(list(COLUMNS)) if to == "csv" else b""


def _cloudevents(record: Record, _: Told) -> bytes:
    payload = record.payload
    return (msgspec.json.format(payload, indent=-1) if b"\n" in payload else payload) + b"\n"


def _otlp(_: Record, one: Told) -> bytes:
    return msgspec.json.encode(otlp(one)) + b"\n"


def _ocsf(_: Record, one: Told) -> bytes:
    return msgspec.json.encode(ocsf(one)) + b"\n"


def _csv(_: Record, one: Told) -> bytes:
    event, data = one.event, one.event.data
    return _row([
        one.sequence, one.place, one.stored, event.time, one.writer, one.slot, event.type, event.severitytext,
        data.actor, data.action, data.resource, data.outcome, data.reason, data.duration_ms, data.size,
        data.payload_sha256, event.correlationid or "", event.causationid or "", event.traceparent or "", event.id,
        event.sequence, event.epoch, msgspec.json.encode(data.metadata).decode() if data.metadata else "",
    ])  # fmt: skip


def _row(cells: list[str | int | float | None]) -> bytes:
    """A line as RFC 4180 wants it; a text that a spreadsheet would take for a formula has an apostrophe before it."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow([_cell(cell) for cell in cells])
    return line.getvalue().encode()


def _cell(cell: str | float | None) -> str | float:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    safe = harmless(cell)
    return f"'{safe}" if safe.lstrip().startswith(_FORMULA) else safe


FORMATS: Final[dict[str, Format]] = {"cloudevents": _cloudevents, "otlp": _otlp, "ocsf": _ocsf, "csv": _csv}
