"""Named checks of one process, and what follows from them.

    health = Health("agent-greeter")
    health.add("server", lambda: OK if connection.is_connected else Finding("failed", "not connected"))
    health.look()           # {"stage": Finding("failed", "starting"), "server": Finding("ok", "")}

A process is *live* when it answers at all; *ready* when it serves and no check has failed. What is degraded works,
and wants somebody's eyes. Reasons are sentences of ours: nothing that a caller, a model or a server said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

State = Literal["ok", "degraded", "failed"]
Stage = Literal["starting", "serving", "draining"]
_RANK: Final[dict[State, int]] = {"ok": 0, "degraded": 1, "failed": 2}


class Finding(NamedTuple):
    """What a check found, with the reason unless all is well."""

    state: State = "ok"
    reason: str = ""

    @property
    def rank(self) -> int:
        """0 ok, 1 degraded, 2 failed."""
        return _RANK[self.state]


OK: Final = Finding()
Check = Callable[[], Finding]
"""Looks at once, without waiting for anything, and never raises."""


class Health:
    """The checks of one process. `process` is its name among those of the fleet."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.stage: Stage = "starting"
        self._checks: dict[str, Check] = {"stage": self._stage}

    def add(self, name: str, check: Check) -> None:
        """Look at this too, from now on."""
        self._checks[name] = check

    def look(self) -> Mapping[str, Finding]:
        """What every check finds now, by its name."""
        return {name: check() for name, check in self._checks.items()}

    def _stage(self) -> Finding:
        if self.stage == "serving":
            return OK
        return Finding("failed", f"the process is {self.stage}: it takes no work")


def worst(findings: Mapping[str, Finding]) -> State:
    """The state of the whole: that of its worst part."""
    return max(findings.values(), key=lambda finding: finding.rank, default=OK).state


def failed(findings: Mapping[str, Finding]) -> list[str]:
    """The names of what has failed: the reasons for not being ready."""
    return [name for name, finding in findings.items() if finding.state == "failed"]
