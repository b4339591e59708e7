"""Is what runs what was approved? Looked at again and again: the repository, the live link, the release's files, and
the tree that each instance says on the trail that it loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from approvals.applying.evidence import Evidence
from approvals.applying.release import live_tree
from approvals.git import Git, tree_of_folder
from bus.audit.emit import Audit
from bus.surroundings import Home
from schemas.errors import AgentbusError
from schemas.fleet import Fleet

_log = structlog.get_logger("applier")


class Drift:
    """Reports each difference once, when it is found and again when it is another one."""

    def __init__(self, git: Git, home: Home, evidence: Evidence, audit: Audit) -> None:
        self._git = git
        self._home = home
        self._evidence = evidence
        self._audit = audit
        self._known: dict[str, str] = {}

    async def look(self, fleet: Fleet, busy: Iterable[str]) -> dict[str, str]:
        """What is wrong with each agent that is not `busy` being changed; those that are well are not in it."""
        found: dict[str, str] = {}
        for agent, role in fleet.agents.items():
            if agent not in busy and (problem := await self._of(agent, role.instances)):
                found[agent] = problem
        for agent, problem in found.items():
            if self._known.get(agent) != problem:
                _log.error("release.drifted", agent=agent, reason=problem)
                self._audit.emit("release.drifted", action="compare", resource=agent, outcome="failure", reason=problem)
        self._known = found
        return found

    async def _of(self, agent: str, instances: int) -> str:
        approved = await asyncio.to_thread(self._git.tree_of_agent, agent)
        live = live_tree(self._home, agent)
        if approved is None or live != approved:
            return f"the live link is at tree {live[:12] or 'none'}, approved is {str(approved)[:12]}"
        files = await asyncio.to_thread(tree_of_folder, self._home.release(agent, approved))
        if files != approved:
            return f"somebody changed the files of release {approved[:12]}: they are tree {files[:12]} now"
        for slot in range(instances):
            running = await self._evidence.running(agent, slot)
            if running is not None and running.tree != approved:
                return f"instance {slot} runs tree {running.tree[:12]}, approved is {approved[:12]}"
        return ""


async def looked(drift: Drift, fleet: Fleet, busy: Iterable[str]) -> None:
    """As `look`, where nothing may stop the caller: an outage is said in the log."""
    try:
        await drift.look(fleet, busy)
    except (AgentbusError, OSError) as error:
        _log.warning("applier.cannot_compare", reason=str(error))
