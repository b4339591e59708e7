"""Errors of the transparency log.

AgentbusError
└── NotVerified   a note, checkpoint, cosignature or proof does not hold: it is false, or not what it claims to be
    └── Malformed its bytes are not of the format
"""

from __future__ import annotations

from schemas.errors import AgentbusError


class NotVerified(AgentbusError):
    """It does not hold; the message says what does not. Nothing that was in it may be believed."""


class Malformed(NotVerified):
    """The bytes are not of the format that they should be of."""
