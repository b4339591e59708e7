"""Whether what a process does gets onto its audit trail."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from bus.audit.emit import THROTTLE_FILL, Audit
from bus.health.checks import OK, Check, Finding
from bus.health.numbers import Sample

LATE_S: Final = 10.0
"""Events that wait longer are those of an outage."""


def check_of(audit: Audit) -> Check:
    """Failed when nothing can be written any more, or the spool is so full that work is slowed down."""

    def check() -> Finding:
        if audit.problem is not None:
            return Finding("failed", "nothing can be written to the trail any more; this process has to start anew")
        if audit.fill > THROTTLE_FILL:
            return Finding(
                "failed", f"the audit spool is {audit.fill:.0%} full; it empties when the stream takes events"
            )
        lag_s = audit.lag_s(time.time_ns())
        if lag_s > LATE_S:
            return Finding(
                "degraded", f"{audit.waiting} events wait for the audit stream, the oldest for {lag_s:.0f} s"
            )
        return OK

    return check


def look_at(audit: Audit) -> Iterable[Sample]:
    """How far the stream is behind."""
    yield Sample("agentbus_audit_spool_events", (), audit.waiting)
    yield Sample("agentbus_audit_spool_fill_ratio", (), audit.fill)
    yield Sample("agentbus_audit_lag_seconds", (), audit.lag_s(time.time_ns()))
