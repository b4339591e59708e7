"""Could this open proposal be applied as things stand? Asked by the service to show it, by the applier to close it.

The answer is not part of the fold: it depends on the repository as it is now. What makes it permanent is
the applier's outcome on record.
"""

from __future__ import annotations

import asyncio

from approvals.change.examine import Examination, examine
from approvals.git import BRANCH, Git
from approvals.verdict.fold import Ledger
from approvals.verdict.machine import Case, at_time

_REMEMBERED = 1000


class Examiner:
    """Examines each proposal once per state of the repository; git runs in a thread."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._known: dict[tuple[str, str], Examination] = {}

    async def problem_of(self, case: Case, ledger: Ledger) -> str:
        """Why `case` of `ledger` cannot be applied as it stands; empty when it can, or is not open any more."""
        return (await self.look(case, ledger)).problem

    async def look(self, case: Case, ledger: Ledger) -> Examination:
        """The same, with what a reviewer is to mind."""
        if case.state != "open":
            return Examination("")
        too_many = self._flood(case, ledger)
        return Examination(too_many) if too_many else await self._examined(case)

    def _flood(self, case: Case, ledger: Ledger) -> str:
        """Whether earlier proposals of the same agent fill what reviewers are asked to read at once."""
        if case.proposer not in ledger.rules.fleet.agents:
            return ""
        limit = ledger.rules.policy.max_open_per_agent
        waiting = sum(
            other.proposer == case.proposer
            and other.sequence < case.sequence
            and at_time(other, case.at_ns).state == "open"
            for other in ledger.unsettled.values()
        )
        return (
            f"{case.proposer} has {waiting} proposals waiting; at most {limit} may wait at once"
            if waiting >= limit
            else ""
        )

    async def _examined(self, case: Case) -> Examination:
        key = (case.digest, await asyncio.to_thread(self._git.line, "rev-parse", BRANCH))
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = await asyncio.to_thread(examine, self._git, case.proposal)
        return self._known[key]
