"""Errors of health.

AgentbusError
└── NoListener    the address for health and metrics cannot be listened on: the operator's to fix, or to wait for
"""

from __future__ import annotations

from schemas.errors import AgentbusError


class NoListener(AgentbusError):
    """Somebody else listens there, or the folder cannot be written; the message says which and what to do."""
