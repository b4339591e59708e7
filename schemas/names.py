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
SESSION_BUCKET: Final = "sessions"
"""Key-value bucket of an agent's own account: what it remembers of its callers' conversations, and notes."""
TASK_LOG: Final = "TASK_LOG"
"""Stream of an agent's own account: the updates of its tasks, numbered per task, for subscribers that come late."""

TASK_LATER: Final = "TASK_LATER"
"""Stream of an agent's own account: tasks that are put off, which the server gives back when they are due."""
DUE: Final = "due"
"""The consumer of those that are due."""

# Accounts.
ACCOUNT_BUS: Final = "BUS"
ACCOUNT_AUDIT: Final = "AUDIT"
ACCOUNT_APPROVALS: Final = "APPROVALS"
ACCOUNT_PARTS: Final = "PARTS"
"""Content that is too large for a message, in a bucket for each who writes some."""
ACCOUNT_SYS: Final = "SYS"

# Components that are not agents; no agent, operator or reviewer may take these names.
APPROVALS: Final = "approvals"
APPLIER: Final = "applier"
PROVISION: Final = "provision"
"""Puts in force, under systemd, what was approved about permissions."""
SEALER: Final = "sealer"
GATEWAY: Final = "gateway"
MONITOR: Final = "monitor"
SUPERVISOR: Final = "supervisor"
ROTATION: Final = "rotation"
"""Tells the trail of its own rotation, from within the trail's account, where nobody in service may write."""
MEMBERSHIP: Final = "membership"
"""Tells the trail who joins and leaves the fleet and whose key is exchanged, from within the trail's account likewise."""
NATS_SERVER: Final = "nats-server"
AUTHORITY: Final = "ca"
"""The key that signs the server's certificate is in its folder of credentials."""
CLUSTER: Final = "cluster"
"""What the servers of a cluster know each other by is in its folder of credentials."""
RESERVED: Final = frozenset(
    {
        APPROVALS,
        APPLIER,
        PROVISION,
        SEALER,
        GATEWAY,
        MONITOR,
        SUPERVISOR,
        ROTATION,
        MEMBERSHIP,
        NATS_SERVER,
        AUTHORITY,
        CLUSTER,
        "sys",
        "none",
    }
)

# Headers. Source: A2A v1.0 §3.2.6, W3C Trace Context, ADR-4, ADR-32, ADR-50, ADR-51.
A2A_VERSION: Final = "A2A-Version"
A2A_EXTENSIONS: Final = "A2A-Extensions"
"""URIs of the extensions that the client supports, with commas."""
CONTENT_TYPE: Final = "Content-Type"
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
DEADLINE: Final = "Agentbus-Deadline"
"""Absolute deadline of a request, milliseconds since the Unix epoch."""
NOT_BEFORE: Final = "Agentbus-Not-Before"
"""On a durable task: when it may be begun, milliseconds since the Unix epoch."""
NOT_BEFORE_KEY: Final = "notBefore"
"""In the metadata of a task that was put off: when it may be begun, as RFC 3339."""
CHANGES_KEY: Final = "changes"
"""In a task's metadata: what it has asked to change, each proposal with its id."""
MEMORY_KEY: Final = "urn:agentbus:memory"
"""In the metadata of an answer: how full the model's window is, `{"context_used", "context_window"}` in tokens."""
PINNED_KEY: Final = "urn:agentbus:pinned"
"""In a message's metadata, true: of a conversation that grows too long, this message stays."""
CORRELATION: Final = "Agentbus-Correlation"
"""Carried along a whole conversation across agents; a label for the trail, never a decision."""
CAUSATION: Final = "Agentbus-Causation"
"""Id of the audit event that caused this message; a label, never a decision."""
CHAIN: Final = "Agentbus-Chain"
"""The agents at whose work a request is made, in order, with commas: ends loops that nobody meant, decides nothing else."""
BUDGET: Final = "Agentbus-Budget"
"""What the work on a request may spend, and all that it asks others for: US dollars, as decimal text."""
FRAME: Final = "Agentbus-Frame"
"""Number of a frame in its stream: 1, 2, 3 …; a missing number is a lost frame."""
END: Final = "Agentbus-End"
"""On the last frame, which has no object: `complete`."""
EVENT: Final = "Agentbus-Event"
"""Number of an update among those of its task, the same for every subscriber."""
IDEMPOTENCY_KEY: Final = "Agentbus-Idempotency-Key"
"""On a message that begins a task: calls of one caller with the same key are one task. On durable tasks: `Nats-Msg-Id`."""
LAST_EVENT: Final = "Agentbus-Last-Event"
"""In SubscribeToTask: the last update that the caller has; the stream goes on after it."""
RUN: Final = "Agentbus-Run"
"""On a stored task: `durable` when the stream delivers it again after its worker died, else `unattended`."""
DEAD_LETTER: Final = "Agentbus-Dead-Letter"
"""On a dead letter: why the message was given up, as JSON; the body is the message's own."""
MSG_ID: Final = "Nats-Msg-Id"
NOTHING_BEGUN_KEY: Final = "nothing_begun"
"""In the metadata of an error: no work was begun, so another agent may be asked the same. Work never says it of itself."""
SKILL_KEY: Final = "skill"
"""Key in a message's metadata that names the skill it is for."""
SCHEDULE: Final = "Nats-Schedule"
SCHEDULE_TARGET: Final = "Nats-Schedule-Target"
SCHEDULE_TTL: Final = "Nats-Schedule-TTL"
"""What the server puts as `Nats-TTL` on a message when it is due."""
TTL: Final = "Nats-TTL"
"""How many seconds the server keeps a message in a stream that allows it. Source: ADR-43."""
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
SIGNATURE_PARTS: Final = "Agentbus-Parts"
"""Where a batch has messages of many events: how many are in each of its messages, with commas; the signature covers it."""
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
TRAIL_CREDENTIAL: Final = "trail.nk"
"""The sealer's user in the account of the trail: it reads the stream and writes checkpoints."""
SEAL_CREDENTIAL: Final = "seal.nk"
"""What the sealer signs checkpoints with, and a witness cosigns them; it opens no connection."""

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
MAX_PART_BYTES: Final = 64 * 1024 * 1024
"""The content of one part, and of all large parts of one message together."""
MAX_DATA_PART_BYTES: Final = 8 * 1024 * 1024
"""Of a part that is JSON: read, it is many times as large."""
PART_CHUNK_BYTES: Final = 512 * 1024
MAX_AUDIT_EVENT_BYTES: Final = 64 * 1024
MAX_PROPOSAL_BYTES: Final = 512 * 1024


def log_origin(fleet: str) -> str:
    """What the checkpoints of a fleet's trail are called, and the key that signs them. Source: C2SP tlog-checkpoint."""
    return f"agentbus/{fleet}/audit"


def witness_name(fleet: str, witness: str) -> str:
    """What a witness's cosignatures go by."""
    return f"agentbus/{fleet}/{witness}"


def own_account(principal: str) -> str:
    """The account that belongs to one agent or operator alone."""
    return f"A_{principal}"


def parts_stream(writer: str) -> str:
    """The stream behind the bucket of one who writes large parts. Source: ADR-20."""
    return f"OBJ_{writer}"


def reviewer_account(reviewer: str) -> str:
    """The account of one reviewer."""
    return f"R_{reviewer}"


def inbox_prefix(principal: str) -> str:
    """Where the server answers `principal`'s JetStream requests; nobody else may publish or subscribe there."""
    return f"_INBOX_{principal}"


def tool_inbox_prefix(caller: str) -> str:
    """Where a plain tool of `caller` listens for replies."""
    return f"_INBOX.{caller}"
