"""What must not be on the trail is not: secrets that a process knows or that are named so, and odd metadata."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from agents.llm.secrets import resolve
from bus import trace
from bus.audit.formats.render import render_event
from bus.audit.writing.spool import Entry, Spool
from bus.audit.writing.withheld import MAX_TOLD
from schemas.audit import GENESIS, AuditEvent, EventData, digest, encode_event
from tests.contract.audit.audit_server import audit_server
from tests.contract.audit.test_audit_emit import GREETER, opened, stored, stored_events, verdict

NAMED = (
    "api_key=other",
    "Authorization: Bearer other",
    '{"user": {"db_password": "other", "id": 1}}',
    "curl --token other",
)


async def test_no_registered_secret_reaches_the_stored_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as it stands, not encoded, not in pieces over fields, not in an error's words, not as somebody's label."""
    monkeypatch.setenv("SOME_KEY", "sk-live-0123456789abcdefXYZ")
    secret = resolve("env:SOME_KEY").reveal()
    encoded = base64.b64encode(f"user:{secret}".encode()).decode()
    async with audit_server(tmp_path, (GREETER,)) as server:
        audit = await opened(server)
        try:
            raise ValueError(f"401: key {secret} is not known")
        except ValueError as error:
            audit.emit("request.refused", action="x", outcome="failure", reason=str(error))
        audit.emit("request.refused", action=secret, resource=encoded, metadata={"api_key": "other", "requests": 2})
        audit.emit("request.received", action="x", resource=secret[:12], reason=secret[12:], metadata={secret: "other"})
        label = trace.Trace("0" * 32, "0" * 16, secret)
        audit.emit("request.received", action="x", trace=label)
        for said in NAMED:
            audit.emit("request.refused", action="x", outcome="denied", reason=f"400: {said} is not known")
            audit.emit("request.refused", action="x", resource=base64.b64encode(said.encode()).decode())
        audit.emit("request.refused", action="x", resource="Authorization: Bearer", reason="other")
        await audit.close()
        everything = b"".join(record.payload for record in await stored(server))
        events = [event for event in await stored_events(server) if event.short_type != "audit.withheld"]
        assert len(events) == 5 + 2 * len(NAMED)
        for spelling in (secret, encoded[8:-4], secret[:12], secret[12:], "other", base64.b64encode(b"other").decode()):
            assert spelling.encode() not in everything
        assert all(event.data.reason.startswith("400: ") for event in events if "400" in event.data.reason)
        assert (await verdict(server)).verdict == "sound"


async def test_metadata_beside_the_catalogue_are_withheld_and_told(tmp_path: Path) -> None:
    """They are not stored, the event says how many they were, and each key is told once; the event itself is there."""
    async with audit_server(tmp_path, (GREETER,)) as server:
        audit = await opened(server)
        given: Any = {"requests": 2, "prompt": "my payload", "not known": None, "Odd Key": "my payload"}
        for _ in range(3):
            audit.emit("request.refused", action="x", metadata=given)
        nested: Any = {"requests": {"password": "my payload"}}
        audit.emit("request.refused", action="x", metadata=nested)
        audit.emit("request.answered", action="x", metadata={"requests": 2})
        for number in range(2 * MAX_TOLD):
            audit.emit("request.answered", action="x", metadata={f"key{number}": 2})
        await audit.close()
        assert b"my payload" not in b"".join(record.payload for record in await stored(server))
        events = await stored_events(server)
        told = [event.data.resource for event in events if event.short_type == "audit.withheld"]
        assert told[:4] == [
            "request.refused/prompt",
            "request.refused/?",
            "request.refused/requests",
            "request.answered/requests",
        ]
        assert len(told) == len(set(told)) == MAX_TOLD
        kept = [event.data.metadata for event in events if event.short_type != "audit.withheld"]
        assert kept[:5] == [{"requests": 2, "withheld": 2}] * 3 + [{"withheld": 1}] * 2
        assert len(kept) == 5 + 2 * MAX_TOLD
        assert (await verdict(server)).verdict == "sound"


async def test_what_an_older_version_left_is_sent_as_it_is_and_shown(tmp_path: Path) -> None:
    """Its spool has an event with metadata that no row names: it is stored as it was chained, verified, and shown."""
    async with audit_server(tmp_path, (GREETER,)) as server:
        directory = tmp_path / "state" / GREETER.name / "audit"
        data = encode_event(
            AuditEvent(
                id="01K.1", source=GREETER.source, type="agentbus.request.refused.v1", time="2026-01-01T00:00:00.000Z",
                sequence=1, prev=GENESIS, epoch="01K", severitynumber=13, severitytext="WARN",
                data=EventData(actor="ops", action="x", outcome="denied", metadata={"colour": "blue", "requests": "two"}),
            )
        )  # fmt: skip
        spool = Spool(directory / "spool", 100_000)
        spool.append([Entry(1, 1, GREETER.subject("request"), digest(data), data)])
        spool.close()
        await (await opened(server)).close()
        (event,) = await stored_events(server)
        assert encode_event(event) == data
        assert (await verdict(server)).verdict == "sound"
        assert render_event(event).endswith("colour=blue requests=two")
