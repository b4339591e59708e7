"""Audit events: CloudEvents 1.0 in structured JSON, chained per producer, signed per batch.

The catalogue below is every event type there is; emitting anything else is an error. Payloads of
messages are never in an event: only their digest and length, and the fields that `EventData` names. Which
metadata an event may carry its row says; readers show whatever an event has.

Source: CloudEvents 1.0.2 JSON format and its `sequence` and tracing extensions; OpenTelemetry log
severity numbers; DSSE v1 pre-authentication encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from schemas.audit_metadata import COUNT, DIGEST, FILE, NO_KEYS, NUMBER, TIME, WORD, Keys
from schemas.ids import sha256_hex

CLOUDEVENTS_MEDIA_TYPE: Final = "application/cloudevents+json"
BATCH_MEDIA_TYPE: Final = "application/cloudevents-batch+json"
PAYLOAD_TYPE: Final = "application/vnd.agentbus.audit.batch.v1"
GENESIS: Final = "0" * 64
"""`prev` of the first event that a producer's slot ever wrote."""

Outcome = Literal["success", "failure", "denied", "unknown"]
INFO, WARN, ERROR = 9, 13, 17
_SEVERITY_TEXT = {INFO: "INFO", WARN: "WARN", ERROR: "ERROR"}


class EventType(NamedTuple):
    """One row of the catalogue. `is_urgent`: written at once instead of with the next batch.

    `metadata`: the keys that its events may carry, all of them or some, and what each may hold.
    """

    domain: str
    verb: str
    severity: int
    is_urgent: bool
    meaning: str
    metadata: Keys = NO_KEYS

    @property
    def name(self) -> str:
        """The CloudEvents `type`."""
        return f"agentbus.{self.domain}.{self.verb}.v1"


_DELIVERED: Keys = {"sequence": COUNT}
_RULES: Keys = {"policy": DIGEST, "fleet": DIGEST}
_APPLIED: Keys = {"digest": DIGEST, "base": DIGEST, "tree": DIGEST, "verdict": COUNT}
_CASE: Keys = {
    **_APPLIED, "kind": WORD, "state": WORD, "risk": WORD, "approvals": COUNT, "quorum": COUNT,
}  # fmt: skip
_MEMBER: Keys = {"role": WORD, "fleet": DIGEST}
_ROWS = (
    EventType("process", "started", INFO, False, "a process is ready to serve"),
    EventType("process", "alive", INFO, False, "a process that had nothing to tell for an hour is there"),
    EventType("process", "draining", INFO, False, "a process stopped taking new work"),
    EventType("process", "stopped", INFO, True, "a process ended in order"),
    EventType(
        "process",
        "resumed",
        WARN,
        False,
        "a process started and found that its last run did not end in order",
    ),
    EventType(
        "config", "loaded", INFO, False, "configuration with this digest is in force", {"tree": DIGEST, "version": WORD}
    ),
    EventType("bus", "disconnected", WARN, False, "the connection to the server was lost"),
    EventType("bus", "reconnected", INFO, False, "the connection to the server is back"),
    EventType("bus", "violated", ERROR, True, "the server refused a publish or a subscription of this process"),
    EventType("bus", "connected", INFO, False, "a process has its connection to the server"),
    EventType("request", "sent", INFO, False, "a request went to another agent"),
    EventType("request", "completed", INFO, False, "the other agent's answer arrived, or none did"),
    EventType(
        "request",
        "routed",
        INFO,
        False,
        "a router passed a message on, or knew nobody for it",
        {"strategy": WORD, "tries": COUNT},
    ),
    EventType("request", "received", INFO, False, "a request was accepted"),
    EventType("request", "answered", INFO, False, "a request was answered"),
    EventType("request", "refused", WARN, False, "a request was refused, with the reason", {"requests": COUNT}),
    EventType("task", "submitted", INFO, False, "an agent left a durable task for another one"),
    EventType("task", "received", INFO, False, "a durable task was taken from the stream", _DELIVERED),
    EventType("task", "redelivered", WARN, False, "a durable task was taken again after an earlier try", _DELIVERED),
    EventType("task", "refused", WARN, False, "a message on the task subject was not a task", _DELIVERED),
    EventType("task", "changed", INFO, False, "a task entered a state"),
    EventType(
        "task",
        "scheduled",
        INFO,
        False,
        "a durable task was put off to the time that its caller named",
        {"not_before": TIME},
    ),
    EventType("task", "found", INFO, False, "a task that was delivered again had ended already; it was not run"),
    EventType(
        "task",
        "given_up",
        WARN,
        True,
        "a durable task was given up, and kept among the dead letters",
        {**_DELIVERED, "tries": COUNT},
    ),
    EventType("breaker", "opened", WARN, False, "another agent failed again and again; it is not asked for a while"),
    EventType("breaker", "half_opened", INFO, False, "an agent that was left alone is tried again"),
    EventType("breaker", "closed", INFO, False, "an agent that was left alone answers again"),
    EventType("card", "refused", WARN, False, "an agent's card was not believed, with the reason"),
    EventType(
        "llm",
        "called",
        INFO,
        False,
        "a model was called: provider, model, tokens, outcome",
        {"input_tokens": COUNT, "output_tokens": COUNT, "cost_usd": NUMBER},
    ),
    EventType("llm", "left_alone", WARN, False, "a model failed: it is not asked for a while, or until the next start"),
    EventType("llm", "tried_again", INFO, False, "a model that was left alone is asked again, one call at a time"),
    EventType("llm", "taken_back", INFO, False, "a model that was left alone answers again"),
    EventType("llm", "refused", WARN, False, "no model was asked, with the reason"),
    EventType(
        "conversation",
        "stepped",
        INFO,
        False,
        "a conversation with a model took a step; the last one says what the whole took",
        {
            "from": WORD,
            "to": WORD,
            "round": COUNT,
            "input_tokens": COUNT,
            "output_tokens": COUNT,
            "cost_usd": NUMBER,
            "tool_calls": COUNT,
        },
    ),
    EventType(
        "safety",
        "signalled",
        WARN,
        False,
        "a text looked like an instruction to the model: whose text, of which family; `disguised` is 1 when it was hidden",
        {"family": WORD, "origin": WORD, "disguised": COUNT},
    ),
    EventType(
        "memory",
        "compacted",
        INFO,
        False,
        "the oldest turns of a conversation were put away: how many, and the tokens before and after",
        {"put_away": COUNT, "tokens_before": COUNT, "tokens_after": COUNT, "summary": WORD},
    ),
    EventType("tool", "intended", INFO, True, "a tool with effects is about to run"),
    EventType("tool", "refused", WARN, False, "a tool was not run, with the reason"),
    EventType(
        "tool", "reflected", INFO, False, "a model judged a tool's result, or gave no verdict", {"verdict": WORD}
    ),
    EventType("tool", "finished", INFO, False, "a tool ended, or what it had found was given again", {"cached": COUNT}),
    EventType("mcp", "connected", INFO, False, "an MCP server of an agent is there", {"tools": COUNT}),
    EventType("mcp", "lost", WARN, False, "an MCP server of an agent went, or could not be started; it is tried again"),
    EventType("mcp", "tool_refused", WARN, True, "a tool of an MCP server is not the one that was allowed"),
    EventType("proposal", "sent", INFO, True, "an agent sends a proposal; what became of it the approval service says"),
    EventType("proposal", "made", INFO, True, "an agent asked to change itself", _CASE),
    EventType("proposal", "refused", WARN, True, "a proposal was not accepted for review"),
    EventType("proposal", "shown", INFO, False, "a reviewer read a proposal", _CASE),
    EventType("proposal", "voted", INFO, True, "a reviewer's vote was counted", _CASE),
    EventType("proposal", "vote_refused", WARN, True, "a vote was not counted, with the reason", {"decision": COUNT}),
    EventType(
        "evaluation",
        "recorded",
        INFO,
        True,
        "an operator evaluated an agent, or what a proposal would make of it: cases, how many passed, and the suite's digest",
        {"suite": DIGEST, "cases": COUNT, "passed": COUNT, "digest": DIGEST, "cost_usd": NUMBER},
    ),
    EventType("proposal", "decided", INFO, True, "a proposal reached a verdict", _CASE),
    EventType(
        "policy", "loaded", INFO, True, "proposals are judged by the policy and the fleet with these digests", _RULES
    ),
    EventType("glass", "broken", ERROR, True, "an operator acted at once, without a vote", _CASE),
    EventType(
        "policy", "changed", WARN, True, "other rules are in force from here on, by a proposal or by hand", _RULES
    ),
    EventType("apply", "checked", INFO, False, "a proposal's own checks passed in the sandbox", _APPLIED),
    EventType("apply", "overturned", WARN, True, "what broken glass had done was undone", _APPLIED),
    EventType("release", "drifted", ERROR, True, "what runs, or lies on the disk, is not what was approved"),
    EventType("apply", "intended", INFO, True, "the applier is about to take a step", _APPLIED),
    EventType("apply", "refused", ERROR, True, "the applier does not find the approval it was woken for", _APPLIED),
    EventType("apply", "applied", INFO, True, "the approved change is live", _APPLIED),
    EventType("apply", "rolled_back", ERROR, True, "the change was taken back, with the reason", _APPLIED),
    EventType(
        "audit",
        "backlog",
        WARN,
        False,
        "events waited in the spool while the server was away",
        {"events": COUNT, "waited_s": NUMBER},
    ),
    EventType(
        "audit",
        "set_aside",
        ERROR,
        True,
        "the stream holds other events in the place of those of the spool, which were kept in a file",
        {"events": COUNT, "file": FILE},
    ),
    EventType(
        "audit",
        "duplicate_refused",
        ERROR,
        True,
        "the stream refused events as known that it does not hold: somebody else used their ids. They were stored again",
        {"events": COUNT},
    ),
    EventType(
        "audit",
        "contradicted",
        ERROR,
        True,
        "the stream is not what was sealed; nothing is sealed any more",
        {"sequence": COUNT},
    ),
    EventType(
        "audit",
        "rotation_begun",
        INFO,
        True,
        "what the stream holds, up to this message, is about to be put away in an archive",
        {"first": COUNT},
    ),
    EventType(
        "audit",
        "rotated",
        INFO,
        True,
        "the stream goes on after an archive: its range, number of messages and Merkle root",
        {"first": COUNT, "last": COUNT, "messages": COUNT, "root": DIGEST},
    ),
    EventType("member", "added", INFO, True, "somebody new is let in to the bus, with a key of its own", _MEMBER),
    EventType("member", "removed", WARN, True, "somebody is let in to the bus no more; its keys are revoked", _MEMBER),
    EventType("member", "rekeyed", INFO, True, "somebody has new keys; the old ones are refused from here on", _MEMBER),
    EventType(
        "key",
        "rotated",
        WARN,
        True,
        "a key that opens no connection was replaced; digests of the public parts, and the log's size where it sealed it",
        {"old": DIGEST, "new": DIGEST, "at": COUNT, "fleet": DIGEST},
    ),
    EventType("audit", "unwitnessed", WARN, True, "a witness does not cosign the trail's checkpoints, with the reason"),
    EventType("audit", "witnessed", INFO, False, "a witness cosigns the trail's checkpoints"),
    EventType(
        "audit",
        "withheld",
        ERROR,
        True,
        "metadata that an event's row does not name were not stored; a key is told once in a run of a process",
    ),
    EventType(
        "audit",
        "spool_damaged",
        ERROR,
        True,
        "the end of the spool cannot be read and was kept in a file: a write that was cut short, or damage",
        {"bytes": COUNT, "file": FILE},
    ),
)
CATALOGUE: Final[dict[str, EventType]] = {f"{row.domain}.{row.verb}": row for row in _ROWS}
"""Short name (`request.received`) to row."""
DOMAINS: Final[tuple[str, ...]] = tuple(sorted({row.domain for row in _ROWS}))
_BY_TYPE = {row.name: short for short, row in CATALOGUE.items()}


class EventData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What happened. `metadata` holds further plain facts, those that the row of its type names."""

    actor: str
    action: str
    outcome: Outcome
    resource: str = ""
    reason: str = ""
    duration_ms: float | None = None
    size: int | None = None
    payload_sha256: str = ""
    metadata: dict[str, str | int | float | bool] = {}


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event. `sequence` is the producer's own counter; `prev` the digest of its previous event's bytes."""

    id: str
    source: str
    type: str
    time: str
    sequence: int
    prev: str
    epoch: str
    severitynumber: int
    severitytext: str
    data: EventData
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: str = "application/json"
    subject: str | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET
    correlationid: str | UnsetType = UNSET
    causationid: str | UnsetType = UNSET

    @property
    def short_type(self) -> str:
        """`request.received` for `agentbus.request.received.v1`; an unknown type as it stands."""
        return _BY_TYPE.get(self.type, self.type)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AuditEvent)


def encode_event(event: AuditEvent) -> bytes:
    """The exact bytes that are chained, stored and signed."""
    return _encoder.encode(event)


def decode_event(data: bytes) -> AuditEvent:
    """Read an event.

    Raises:
        msgspec.DecodeError: the bytes are not an event.
    """
    try:
        return _decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def digest(event_bytes: bytes) -> str:
    """What the next event's `prev` says, and what a message's `Nats-Msg-Id` begins with."""
    return sha256_hex(event_bytes)


def severity_text(number: int) -> str:
    """OpenTelemetry's short name of a severity number."""
    return _SEVERITY_TEXT[number]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes a DSSE signature is made over. Source: DSSE v1, protocol.md."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def batch_payload(subject: str, last_digest: str, parts: Sequence[int], after: int) -> bytes:
    """What one batch signature covers: where the last event was written, its digest, how many it closes, after what.

    `parts` is the number of events in each message of the batch. The digest covers all earlier events through
    `prev`; the subject binds them to the producer's slot; `after`, the stream sequence of the slot's event before
    the batch, binds the batch before this one to its place among other producers' events.
    """
    covered: dict[str, object] = {"subject": subject, "sha256": last_digest, "count": len(parts), "after": after}
    if len(parts) != sum(parts):
        covered["parts"] = parts
    return msgspec.json.encode(covered)
