"""Errors of the bus layer; errors that travel are in `schemas.errors`.

AgentbusError
├── NoServer             no usable nats-server binary, or it did not start: the operator's to fix
├── ConnectionRefused    the server is away or refuses the key: environment or operator
├── CredentialMissing    a key file is absent or readable by others: the operator's to fix
├── NotProvisioned       a stream, consumer or bucket is missing or differs: run `agentbus provision`
├── VerifierUnfit        the verifier does not see planted tampering: its verdicts are worth nothing
├── TrailBroken          a part of the trail is missing or not what it was: somebody changed it, for a person to look at
├── SealContradicted     the stream is not what was sealed: somebody changed it, for a person to look at
├── NobodyServes         an agent that was asked is down, or not in the fleet: nothing was begun; it is Unavailable
├── StorageFull          a bucket has no room left: more storage for the agent, or time; 503 to a caller
└── AuditUnavailable     events cannot be made durable; consequential actions must not run
    └── AuditFenced      somebody else writes to this producer's slot: a second process or a stolen key
"""

from __future__ import annotations

from schemas.errors import A2AError, AgentbusError, Unavailable


class NoServer(AgentbusError):
    """No nats-server that is new enough was found, or it exited; the message says which and what to do."""


class ConnectionRefused(AgentbusError):
    """The server cannot be reached or does not accept the key."""


class CredentialMissing(AgentbusError):
    """A key file is not there, or its mode lets others read it."""


class NotProvisioned(AgentbusError):
    """What provisioning should have made is not there or is different."""


class NobodyServes(Unavailable):
    """Nobody serves that agent now: the request reached no one, so it may be asked of another."""


class StorageFull(A2AError):
    """Nothing was stored: the agent's storage is full, and asking again at once changes nothing. To callers it is Unavailable."""

    code, status, reason, fault, retryable = 503, Unavailable.status, Unavailable.reason, "environment", True


class SealContradicted(AgentbusError):
    """The stream contradicts a signed checkpoint; nothing is sealed over that. `sequence` is where it begins."""

    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(f"{reason}; nothing is sealed over this: compare with a backup, see `agentbus audit verify`")
        self.sequence = sequence


class TrailBroken(AgentbusError):
    """An archive of the trail is not there, or not what was put away, from stream sequence `sequence` on."""

    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(f"{reason}; nothing is read over this, run: agentbus audit verify")
        self.sequence, self.problem = sequence, reason


class VerifierUnfit(AgentbusError):
    """The verifier failed its self-test; install it again from a source that you trust, then verify."""


class AuditUnavailable(AgentbusError):
    """The spool is full or cannot be written, or the trail did not confirm in time."""


class AuditFenced(AuditUnavailable):
    """The stream already holds events on this slot that this process did not write."""
