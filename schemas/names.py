"""Every name that is not a subject: streams, consumers, headers, buckets, accounts, limits."""

from __future__ import annotations

from typing import Final

# Streams (upper case), by account.
TASKS: Final = "TASKS"
EVENTS: Final = "EVENTS"
DEAD: Final = "DEAD"
PROPOSALS: Final = "PROPOSALS"
DECISIONS: Final = "DECISIONS"
OUTCOMES: Final = "OUTCOMES"
AUDIT: Final = "AUDIT"
TASK_BUCKET: Final = "tasks"
"""Key-value bucket of an agent's own account: its current task snapshots."""
PUSH_BUCKET: Final = "push"
"""Key-value bucket of an agent's own account: where callers want to be notified of their tasks."""
TASK_LOG: Final = "TASK_LOG"
"""Stream of an agent's own account: the updates of its tasks, numbered per task, for subscribers that come late."""

# Accounts.
ACCOUNT_BUS: Final = "BUS"
ACCOUNT_AUDIT: Final = "AUDIT"
ACCOUNT_APPROVALS: Final = "APPROVALS"
ACCOUNT_SYS: Final = "SYS"

# Components that are not agents; no agent, operator or reviewer may take these names.
APPROVALS: Final = "approvals"
APPLIER: Final = "applier"
SEALER: Final = "sealer"
GATEWAY: Final = "gateway"
MONITOR: Final = "monitor"
SUPERVISOR: Final = "supervisor"
RESERVED: Final = frozenset({APPROVALS, APPLIER, SEALER, GATEWAY, MONITOR, SUPERVISOR, "sys"})

# Headers. Source: A2A v1.0 §3.2.6, W3C Trace Context, ADR-4, ADR-32, ADR-50.
A2A_VERSION: Final = "A2A-Version"
A2A_EXTENSIONS: Final = "A2A-Extensions"
"""URIs of the extensions that the client supports, with commas."""
CONTENT_TYPE: Final = "Content-Type"
TRACEPARENT: Final = "traceparent"
DEADLINE: Final = "Agentbus-Deadline"
"""Absolute deadline of a request, milliseconds since the Unix epoch."""
CORRELATION: Final = "Agentbus-Correlation"
"""Carried along a whole conversation across agents; a label for the trail, never a decision."""
CAUSATION: Final = "Agentbus-Causation"
"""Id of the audit event that caused this message; a label, never a decision."""
CHAIN: Final = "Agentbus-Chain"
"""The agents at whose work a request is made, in order, with commas: ends loops that nobody meant, decides nothing else."""
FRAME: Final = "Agentbus-Frame"
"""Number of a frame in its stream: 1, 2, 3 …; a missing number is a lost frame."""
END: Final = "Agentbus-End"
"""On the last frame, which has no object: `complete`."""
EVENT: Final = "Agentbus-Event"
"""Number of an update among those of its task, the same for every subscriber."""
LAST_EVENT: Final = "Agentbus-Last-Event"
"""In SubscribeToTask: the last update that the caller has; the stream goes on after it."""
RUN: Final = "Agentbus-Run"
"""On a stored task: `durable` when the stream delivers it again after its worker died, else `unattended`."""
DEAD_LETTER: Final = "Agentbus-Dead-Letter"
"""On a dead letter: why the message was given up, as JSON; the body is the message's own."""
MSG_ID: Final = "Nats-Msg-Id"
SERVICE_ERROR: Final = "Nats-Service-Error"
SERVICE_ERROR_CODE: Final = "Nats-Service-Error-Code"
BATCH_ID: Final = "Nats-Batch-Id"
BATCH_SEQUENCE: Final = "Nats-Batch-Sequence"
BATCH_COMMIT: Final = "Nats-Batch-Commit"
EXPECTED_SUBJECT_SEQUENCE: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT_FILTER: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
SIGNATURE: Final = "Agentbus-Signature"
"""DSSE signature (base64) over the digest of a batch's last audit event."""
SIGNATURE_AFTER: Final = "Agentbus-After"
"""Stream sequence of the slot's event before the batch; the signature covers it."""
SIGNATURE_KEY: Final = "Agentbus-Key"
"""Public nkey of the signer; a hint which trusted key to try, never trusted itself."""

JETSTREAM_DELIVERY_HEADERS: Final = frozenset(
    name.lower()
    for name in (
        "Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Last-Sequence",
        "Nats-Num-Pending", "Nats-UpTo-Sequence", "Nats-Marker-Reason", "Nats-Consumer-Stalled",
        "Nats-Pin-Id", "Nats-Pending-Messages", "Nats-Pending-Bytes", "Status", "Description",
    )
)  # fmt: skip
"""Headers the server adds when it answers from a stream: their presence means the server was steered."""

BUS_CREDENTIAL: Final = "bus.nk"
OWN_CREDENTIAL: Final = "own.nk"
AUDIT_CREDENTIAL: Final = "audit.nk"

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
MAX_AUDIT_EVENT_BYTES: Final = 64 * 1024
MAX_PROPOSAL_BYTES: Final = 512 * 1024


def own_account(principal: str) -> str:
    """The account that belongs to one agent or operator alone."""
    return f"A_{principal}"


def reviewer_account(reviewer: str) -> str:
    """The account of one reviewer."""
    return f"R_{reviewer}"


def inbox_prefix(principal: str) -> str:
    """Where the server answers `principal`'s JetStream requests; nobody else may publish or subscribe there."""
    return f"_INBOX_{principal}"


def tool_inbox_prefix(caller: str) -> str:
    """Where a plain tool of `caller` listens for replies."""
    return f"_INBOX.{caller}"
