"""Bytes of version 1, written once: they must decode to the same values and digests for ever.

A file in `v1/` is never edited. A format that changes gets a folder of its own, and this one stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.llm import AssistantTurn, ToolCall, ToolResult, ToolTurn, UserTurn
from agents.memory.session import Kept, Session, decode
from schemas import a2a, protojson
from schemas.approvals import ChangedFile, OutcomeRecord, Proposal, Receipt, decode_proposal, name_of
from schemas.audit import GENESIS, AuditEvent, EventData, decode_event, digest, encode_event
from schemas.dead import Attempt, DeadLetter, decode_letter, encode_letter

V1 = Path(__file__).parent / "v1"
REQUEST = a2a.SendMessageRequest(
    message=a2a.Message(
        message_id="01K9XG1TZT8F5N3J4T2D7Q6M0A",
        role="ROLE_USER",
        parts=(
            a2a.Part(text="Grüße", media_type="text/plain"),
            a2a.Part(data={"snake_case": None, "n": 1.5}, media_type="application/json"),
            a2a.Part(raw=b"\x00\xff", filename="a.bin"),
            a2a.Part(url="https://example.com/a"),
        ),
        context_id="c-1",
        task_id="task-7",
        metadata={"skill": "count"},
        extensions=("urn:x",),
        reference_task_ids=("task-6",),
    ),
    configuration=a2a.SendMessageConfiguration(
        accepted_output_modes=("text/plain",), history_length=0, return_immediately=True
    ),
    metadata={"k": [1, None]},
)
TASK = a2a.Task(
    id="task-7",
    context_id="c-1",
    status=a2a.TaskStatus(
        state="TASK_STATE_AUTH_REQUIRED",
        message=a2a.Message(message_id="m-2", role="ROLE_AGENT", parts=(a2a.Part(text="waits"),)),
        timestamp="2026-01-02T03:04:05.678Z",
    ),
    artifacts=(a2a.Artifact(artifact_id="a-1", parts=(a2a.Part(data=None),), name="result"),),
    history=(REQUEST.message,),
)
EVENT = AuditEvent(
    id="01K9XG1TZT8F5N3J4T2D7Q6M0B",
    source="urn:agentbus:agent:greeter",
    type="agentbus.request.answered.v1",
    time="2026-01-02T03:04:05.678Z",
    sequence=2,
    prev=GENESIS,
    epoch="01K9XG1TZT8F5N3J4T2D7Q6M0C",
    severitynumber=9,
    severitytext="INFO",
    data=EventData(
        actor="ops", action="SendMessage", outcome="success", resource="greeter", duration_ms=1.25, size=42,
        payload_sha256="ab" * 32, metadata={"text": "Grüße", "n": 1, "yes": True},
    ),
    subject="greeter",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    correlationid="corr",
)  # fmt: skip
PROPOSAL = Proposal(
    agent="greeter",
    kind="prompt",
    base="1" * 40,
    tree="2" * 40,
    diff="--- a/agent.yaml\n+++ b/agent.yaml\n@@ -1 +1 @@\n-Style: friendly\n+Style: förmlich\n",
    files=(
        ChangedFile(path="agent.yaml", mode="100644", sha256="cd" * 32),
        ChangedFile(path="old.md", mode="100644"),
    ),
    rationale="be polite",
    made_at_ns=1767323045678000000,
    expires_at_ns=1767409445678000000,
    nonce="00112233445566778899aabbccddeeff",
    task="task-7",
    correlation="corr",
)
PROPOSAL_DIGEST = "65fcc470c8c6255583e4860def547ab601f4a4eb51efe0d8fdb2ca49ec5ecb61"
PROPOSAL_ID = "p-mx6mi4gi"
EVENT_DIGEST = "4c7d51dfba6036a0fd2bf150c4f4cb7da315ab1eff78b6e0154b0cc96f788f7f"
RECEIPT = Receipt(proposal=PROPOSAL_ID, digest=PROPOSAL_DIGEST, problem="")
OUTCOME = OutcomeRecord(
    proposal=PROPOSAL_ID, digest=PROPOSAL_DIGEST, result="rolled_back", reason="not healthy", verdict_sequence=3
)
LETTER = DeadLetter(
    task="task-7",
    sequence=7,
    reason="given up: Grüße",
    left_at="2026-01-02T03:04:05.678Z",
    at="2026-01-02T03:05:05.678Z",
    attempts=(Attempt(1), Attempt(2, "2026-01-02T03:04:35.678Z", "Unavailable")),
    headers={"A2A-Version": "1.0"},
)
SESSION = Session(
    caller="ops",
    context_id="c-1",
    began_at="2026-01-02T03:04:05.678Z",
    written_at="2026-01-02T03:05:05.678Z",
    turns=(
        Kept(turn=UserTurn(text="Grüße", kept="pinned"), exchange="task-7", at="2026-01-02T03:04:05.678Z"),
        Kept(turn=AssistantTurn(text="a", tool_calls=(ToolCall(id="1", name="read", input={"k": [None]}),))),
        Kept(turn=ToolTurn(results=(ToolResult(call_id="1", name="read", text="t", is_error=True),))),
    ),
    archived=(Kept(turn=UserTurn(text="old"), exchange="m-1", at="2026-01-02T03:04:05.678Z"),),
    forgotten=3,
    summary="they met",
    summary_prompt="summary-v1",
    used_tokens=17,
)
WRITTEN: dict[str, Any] = {
    "send_message_request.json": REQUEST,
    "task.json": TASK,
    "audit_event.json": EVENT,
    "proposal.json": PROPOSAL,
    "receipt.json": RECEIPT,
    "outcome.json": OUTCOME,
    "dead_letter.json": LETTER,
    "session.json": SESSION,
}


def golden(name: str) -> bytes:
    """The bytes of a file of version 1."""
    return (V1 / name).read_bytes()


@pytest.mark.parametrize("name", WRITTEN)
def test_this_version_writes_the_same_bytes(name: str) -> None:
    """A digest or a signature over these bytes is still valid."""
    assert msgspec.json.encode(WRITTEN[name]) == golden(name)


def test_every_file_is_tested() -> None:
    """No golden file is forgotten, and none is gone."""
    assert {path.name for path in V1.iterdir()} == set(WRITTEN)


@pytest.mark.parametrize(
    ("name", "kind"), [("send_message_request.json", a2a.SendMessageRequest), ("task.json", a2a.Task)]
)
def test_a2a_objects_are_read(name: str, kind: type[a2a.A2AObject]) -> None:
    """What was sent then is understood now."""
    assert protojson.decode(golden(name), kind) == WRITTEN[name]


def test_an_audit_event_is_read_with_the_same_digest() -> None:
    """A trail that was written then verifies now."""
    data = golden("audit_event.json")
    assert decode_event(data) == EVENT
    assert encode_event(decode_event(data)) == data
    assert digest(data) == EVENT_DIGEST


def test_a_proposal_is_read_with_the_same_digest_and_name() -> None:
    """Votes that were cast then are about the same bytes now."""
    assert decode_proposal(golden("proposal.json")) == (PROPOSAL, PROPOSAL_DIGEST)
    assert name_of(PROPOSAL_DIGEST) == PROPOSAL_ID


@pytest.mark.parametrize(("name", "kind"), [("receipt.json", Receipt), ("outcome.json", OutcomeRecord)])
def test_answers_and_outcomes_are_read(name: str, kind: type[Any]) -> None:
    """The rest of the approval path."""
    assert msgspec.json.decode(golden(name), type=kind) == WRITTEN[name]


def test_a_conversation_is_read() -> None:
    """What an agent remembered then it knows now."""
    assert decode(golden("session.json")) == SESSION


def test_a_dead_letter_is_read() -> None:
    """What was given up then can be looked at and left again now."""
    text = golden("dead_letter.json").decode()
    assert decode_letter(text) == LETTER
    assert encode_letter(LETTER) == text
