"""Errors of the bus layer; errors that travel are in `schemas.errors`.

AgentbusError
├── NoServer             no usable nats-server binary, or it did not start: the operator's to fix
├── ConnectionRefused    the server is away or refuses the key: environment or operator
├── CredentialMissing    a key file is absent or readable by others: the operator's to fix
├── NotProvisioned       a stream, consumer or bucket is missing or differs: run `agentbus provision`
└── AuditUnavailable     events cannot be made durable; consequential actions must not run
    └── AuditFenced      somebody else writes to this producer's slot: a second process or a stolen key
"""

from __future__ import annotations

from schemas.errors import AgentbusError


class NoServer(AgentbusError):
    """No nats-server that is new enough was found, or it exited; the message says which and what to do."""


class ConnectionRefused(AgentbusError):
    """The server cannot be reached or does not accept the key."""


class CredentialMissing(AgentbusError):
    """A key file is not there, or its mode lets others read it."""


class NotProvisioned(AgentbusError):
    """What provisioning should have made is not there or is different."""


class AuditUnavailable(AgentbusError):
    """The spool is full or cannot be written, or the trail did not confirm in time."""


class AuditFenced(AuditUnavailable):
    """The stream already holds events on this slot that this process did not write."""
