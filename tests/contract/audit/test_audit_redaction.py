"""Secrets that a process knows do not get on the trail."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from agents.llm.secrets import resolve
from bus import trace
from tests.contract.audit.audit_server import AuditServer
from tests.contract.audit.test_audit_emit import GREETER, opened, stored, verdict


async def test_no_registered_secret_reaches_the_stored_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as it stands, not encoded, not in pieces over fields, not in an error's words, not as somebody's label."""
    monkeypatch.setenv("SOME_KEY", "sk-live-0123456789abcdefXYZ")
    secret = resolve("env:SOME_KEY").reveal()
    encoded = base64.b64encode(f"user:{secret}".encode()).decode()
    server = AuditServer(tmp_path, (GREETER,))
    server.start()
    await server.create_stream()
    audit = await opened(server)
    try:
        raise ValueError(f"401: key {secret} is not known")
    except ValueError as error:
        audit.emit("request.refused", action="x", outcome="failure", reason=str(error))
    audit.emit("request.refused", action=secret, resource=encoded, metadata={"api_key": "other", "n": 1})
    audit.emit("request.received", action="x", reason=secret[:12], metadata={"rest": secret[12:], secret: "name"})
    label = trace.Trace("0" * 32, "0" * 16, secret)
    audit.emit("request.received", action="x", trace=label)
    await audit.close()
    records = await stored(server)
    everything = b"".join(record.payload for record in records)
    assert len(records) == 4
    for spelling in (secret, encoded[8:-4], secret[:12], secret[12:], "other"):
        assert spelling.encode() not in everything
    assert (await verdict(server)).verdict == "sound"
    await server.close()
