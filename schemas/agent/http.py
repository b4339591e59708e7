"""Ports at which an agent's process tells how it is."""

from __future__ import annotations

from pydantic import Field

from schemas.documents import Document

_LAST = 65535


class Http(Document):
    """Ports on loopback, beside the unix socket that it has anyway; a further instance takes the port plus its slot."""

    health_port: int | None = Field(
        None, ge=1, le=_LAST, description="where `/health` and its parts answer; AGENTBUS_HEALTH_PORT goes before it"
    )
    metrics_port: int | None = Field(
        None, ge=1, le=_LAST, description="where `/metrics` answers; AGENTBUS_METRICS_PORT goes before it"
    )

    def of_slot(self, slot: int) -> tuple[int | None, int | None]:
        """Both ports of an instance; one that does not exist is none."""
        health, metrics = (port + slot if port and port + slot <= _LAST else None for port in self._both())
        return health, metrics

    def _both(self) -> tuple[int | None, int | None]:
        return self.health_port, self.metrics_port
