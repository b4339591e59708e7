"""What is answered on which path: a table.

| path | answer |
|---|---|
| `/health`, `/health?detailed=true` | the state of the whole, with every component; 503 when one has failed |
| `/health/live`, `/live` | 200: the event loop of the process answers |
| `/health/ready`, `/ready`, `/readiness` | 200, or 503 with the names of the checks that have failed |
| `/metrics` | Prometheus |
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bus.health.checks import Health, failed, worst
from bus.health.http import Answer, Asked

Page = Callable[[Asked], Awaitable[Answer]]
_JSON: Final = "application/json"
HEALTH_PATHS: Final = ("/health", "/health/live", "/health/ready", "/live", "/ready", "/readiness")
METRICS_PATH: Final = "/metrics"
_TRUE: Final = frozenset({"true", "1", "yes"})


@dataclass(frozen=True, slots=True)
class HealthPages:
    """The pages about one process's health. `began_s` is of the monotonic clock."""

    health: Health
    version: str
    began_s: float

    def table(self) -> Mapping[str, Page]:
        """Path to page."""
        return {
            "/health": self._health,
            **dict.fromkeys(("/health/live", "/live"), self._live),
            **dict.fromkeys(("/health/ready", "/ready", "/readiness"), self._ready),
        }

    async def _health(self, asked: Asked) -> Answer:
        findings = self.health.look()
        state = worst(findings)
        body: dict[str, Any] = {"status": state, **self._head()}
        if asked.query.get("detailed", "").lower() in _TRUE:
            body["components"] = {
                name: {"status": finding.state, **({"reason": finding.reason} if finding.reason else {})}
                for name, finding in findings.items()
            }
        return _json(503 if state == "failed" else 200, body)

    async def _live(self, _: Asked) -> Answer:
        return _json(200, {"status": "live", **self._head()})

    async def _ready(self, _: Asked) -> Answer:
        problems = failed(self.health.look())
        if problems:
            return _json(503, {"status": "not ready", **self._head(), "failed": problems})
        return _json(200, {"status": "ready", **self._head()})

    def _head(self) -> dict[str, Any]:
        return {
            "process": self.health.process,
            "version": self.version,
            "stage": self.health.stage,
            "uptime_s": round(time.monotonic() - self.began_s, 3),
        }


def _json(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, msgspec.json.encode(body) + b"\n", _JSON)
