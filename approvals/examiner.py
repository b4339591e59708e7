"""Could this open proposal be applied as things stand? Asked by the service to show it, by the applier to close it.

The answer is not part of the fold: it depends on the repository as it is now. What makes it permanent is
the applier's outcome on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from approvals.examine import examine
from approvals.git import Git
from approvals.machine import Case, at_time
from approvals.repository import rules_in_force

_REMEMBERED = 1000


class Examiner:
    """Examines each proposal once per state of its agent's folder; git runs in a thread."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._known: dict[tuple[str, str | None], str] = {}

    async def problem_of(self, case: Case, cases: Mapping[str, Case]) -> str:
        """Why `case`, one of `cases`, cannot be applied as it stands; empty when it can, or is not open any more."""
        if case.state != "open":
            return ""
        return self._flood(case, cases) or await self._examined(case)

    def _flood(self, case: Case, cases: Mapping[str, Case]) -> str:
        """Whether earlier proposals of the same agent fill what reviewers are asked to read at once."""
        agent, limit = case.proposal.agent, rules_in_force(self._git).policy.max_open_per_agent
        waiting = sum(
            other.proposal.agent == agent
            and other.sequence < case.sequence
            and at_time(other, case.at_ns).state == "open"
            for other in cases.values()
        )
        return f"{agent} has {waiting} proposals waiting; at most {limit} may wait at once" if waiting >= limit else ""

    async def _examined(self, case: Case) -> str:
        key = (case.digest, await asyncio.to_thread(self._git.tree_of_agent, case.proposal.agent))
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = await asyncio.to_thread(examine, self._git, case.proposal.agent, case.proposal)
            self._known[key] = found.problem
        return self._known[key]
