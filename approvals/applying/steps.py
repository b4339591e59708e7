"""The steps that put an approved change to work, or take it back: each is in the journal and on the trail before it is
taken, and each can be taken again, so after a crash the application is simply repeated.

    of an agent    check → release → switch → restart each instance, one after the other → commit
    of the fleet   check → commit → provision
    back           switch or commit the old tree → restart or provision

The live link is always the old or the new release; a release is a whole git tree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from approvals.applying.canary import CanaryFailed, canary_of
from approvals.applying.control import Control, RestartFailed
from approvals.applying.evidence import Evidence
from approvals.applying.health import NotHealthy, Probe
from approvals.applying.journal import Entry, Journal
from approvals.applying.release import ReleaseDiffers, live_tree, make_release, switch
from approvals.change.examine import examine
from approvals.errors import GitFailed
from approvals.git import BRANCH, Git
from approvals.repository import commit_approved, commit_back, rules_in_force
from approvals.trial.sandbox import CheckResult, Sandbox
from approvals.trial.tree_tar import tar_of_tree
from approvals.verdict.fold import Rules
from approvals.verdict.machine import Case
from bus.audit.emit import Audit
from bus.audit.event import Plain
from bus.requests.caller import Caller
from bus.surroundings import Home
from bus.trace import of_conversation
from schemas.approvals import Proposal
from schemas.audit import Outcome
from schemas.errors import AgentbusError, InvalidDocument
from schemas.policy import Health

SWIFT = Health(ready_within_s=30, steady_for_s=0)
"""For what was healthy a moment ago: it must only come up."""
GO_BACK, RESTART = "go_back", "restart"


Commit = Callable[[Git, Case], str]


class Refused(AgentbusError):
    """The record does not hold what it would take to apply this; nothing was changed."""


class RolledBack(AgentbusError):
    """The change was live, was not healthy, and is gone again."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the applier works with. `caller` speaks on the bus as `applier`, for the canary."""

    caller: Caller
    audit: Audit
    git: Git
    home: Home
    control: Control
    journal: Journal
    evidence: Evidence
    sandbox: Sandbox
    committing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One change of the branch at a time."""


@dataclass(frozen=True, slots=True)
class Application:
    """One case on its way, under the rules in force. Each method is one step, or several."""

    tools: Tools
    case: Case
    rules: Rules

    @property
    def _proposal(self) -> Proposal:
        return self.case.proposal

    @property
    def slots(self) -> range:
        """The instances that run on this machine."""
        role = self.rules.fleet.agents.get(self._proposal.agent)
        return range(role.instances if role else 1)

    # -- forward -----------------------------------------------------------------------------------------

    async def run(self) -> str:
        """Take every step and return the commit that records the change.

        Raises:
            Refused: nothing was changed. RolledBack: it was, and is as before.
            AuditUnavailable: the trail does not confirm an intent; begin again later.
        """
        self._require_fresh()
        back = next((entry for entry in self.tools.journal.of(self.case.id) if entry.step == GO_BACK), None)
        if back:
            await self._go_back(back.reason)
        if self._proposal.is_of_fleet:
            return await self._bring_rules()
        if self._proposal.is_of_newcomer:
            return await self._bring_files()
        return await self._bring_release()

    def _require_fresh(self) -> None:
        """An approval is for now. One that was begun in time and interrupted is finished all the same."""
        limit_s = self.rules.policy.apply_within_s
        decided_ns = next(cast.at_ns for cast in self.case.votes if cast.sequence == self.case.verdict_sequence)
        is_late = time.time_ns() > decided_ns + limit_s * 1_000_000_000
        if is_late and not self.tools.journal.of(self.case.id):
            raise Refused(f"it was approved more than {limit_s / 3600:g} hours ago; it has to be proposed again")

    async def _bring_release(self) -> str:
        tools, agent, tree = self.tools, self._proposal.agent, self._proposal.tree
        if tools.git.tree_of_agent(agent) == tree and live_tree(tools.home, agent) == tree:
            return tools.git.line("rev-parse", BRANCH)  # an earlier run got this far and died before saying so
        if live_tree(tools.home, agent) != tree:
            await self._check()
        await self.intend("release")
        await asyncio.to_thread(self._make)
        await self.intend("switch")
        switch(tools.home, agent, tree)
        await self._restart_all()
        return await self._commit()

    async def _bring_files(self) -> str:
        """A new agent's files, tried and put on the branch. Who lets it join is an operator: that takes keys."""
        if self.tools.git.tree_of_agent(self._proposal.agent) != self._proposal.tree:
            await self._check()
            await self.intend("keep")
            await asyncio.to_thread(self._keep)
        await self.intend("commit")
        try:
            return await self.on_branch(commit_approved)
        except GitFailed as error:
            raise Refused(f"it could not be committed: {error}") from error

    async def _bring_rules(self) -> str:
        if self.tools.git.tree_of_fleet() != self._proposal.tree:
            self._examine()
        commit = await self._commit()
        await self.intend("provision")
        try:
            await self.tools.control.reprovision()
        except RestartFailed as error:
            await self._go_back(str(error))
        return commit

    async def _check(self) -> None:
        self._examine()
        await self.intend("check")
        found = await checked(self.tools, self._proposal)
        if not found.passed:
            raise Refused(f"its checks fail ({found.where}): {found.summary}")

    def _examine(self) -> None:
        if problem := examine(self.tools.git, self._proposal).problem:
            raise Refused(problem)

    def _make(self) -> None:
        """Write the release; nothing that runs is touched."""
        tools, proposal = self.tools, self._proposal
        self._keep()
        try:
            make_release(tools.git, tools.home, proposal.agent, proposal.tree)
        except (GitFailed, ReleaseDiffers) as error:
            raise Refused(str(error)) from error

    def _keep(self) -> None:
        """Have what the approved tree holds in the repository."""
        proposal = self._proposal
        try:
            with self.tools.git.indexed() as index:
                if index.apply(proposal.base, proposal.diff) != proposal.tree:
                    raise Refused("its diff does not give the approved tree")
        except GitFailed as error:
            raise Refused(str(error)) from error

    async def _restart_all(self) -> None:
        """The first instance is watched for the whole window, the others follow when it stands."""
        for slot in self.slots:
            await self.intend(f"{RESTART} {slot}")
            try:
                await self.restart(slot, self._proposal.tree, self.rules.policy.health if slot == 0 else SWIFT)
            except (RestartFailed, NotHealthy, CanaryFailed, InvalidDocument) as error:
                await self._go_back(str(error))

    async def restart(self, slot: int, tree: str, health: Health) -> None:
        """Restart one instance and return when it is healthy as `tree`.

        Raises:
            RestartFailed, NotHealthy, CanaryFailed: it is not.
        """
        tools, agent = self.tools, self._proposal.agent
        await tools.control.restart(agent, slot, health.ready_within_s)
        canary = canary_of(tools.home.release(agent, tree), tools.caller)
        await Probe(agent, slot, tree, canary, tools.control, tools.evidence).healthy(health)

    async def _commit(self) -> str:
        await self.intend("commit")
        try:
            return await self.on_branch(commit_approved)
        except GitFailed as error:
            await self._go_back(f"it could not be committed: {error}")

    # -- back --------------------------------------------------------------------------------------------

    async def _go_back(self, problem: str) -> NoReturn:
        await self.intend(GO_BACK, problem)
        again = await (self._rules_back() if self._proposal.is_of_fleet else self._release_back())
        raise RolledBack(problem + (f"; and the old one: {again}" if again else ""))

    async def _release_back(self) -> str:
        tools, agent, base = self.tools, self._proposal.agent, self._proposal.base
        switch(tools.home, agent, base)
        touched = {entry.step for entry in tools.journal.of(self.case.id)}
        for slot in self.slots:
            if f"{RESTART} {slot}" not in touched:
                continue  # it never left
            try:
                await self.restart(slot, base, SWIFT)
            except (RestartFailed, NotHealthy, CanaryFailed) as error:
                return str(error)
        return ""

    async def _rules_back(self) -> str:
        try:
            await self.on_branch(commit_back)
            await self.tools.control.reprovision()
        except (GitFailed, RestartFailed) as error:
            return str(error)
        return ""

    async def on_branch(self, commit: Commit) -> str:
        """Change the branch, one change at a time."""
        async with self.tools.committing:
            return await asyncio.to_thread(commit, self.tools.git, self.case)

    # -- said before done --------------------------------------------------------------------------------

    async def intend(self, step: str, reason: str = "", previous: str = "", tree: str = "") -> None:
        """Say what is about to be done, on disk and on the trail, before it is done.

        Raises:
            AuditUnavailable: the trail does not confirm; then the step must not be taken.
        """
        proposal = self._proposal
        previous, tree = previous or proposal.base, tree or proposal.tree
        self.tools.journal.intend(Entry(self.case.id, step, proposal.agent, previous, tree, reason))
        emit(self.tools.audit, "apply.intended", self.case, step, reason=reason)
        await self.tools.audit.confirm()


async def checked(tools: Tools, proposal: Proposal) -> CheckResult:
    """Run the checks and tests of what the proposal leads to, in the sandbox; writes nothing to the repository.

    Raises:
        GitFailed: its diff does not apply.
    """

    def packed() -> bytes:
        with tools.git.scratch() as scratch:
            return tar_of_tree(scratch, scratch.apply(proposal.base, proposal.diff))

    must_confine = rules_in_force(tools.git).policy.require_sandbox
    return await tools.sandbox.check(proposal.agent, await asyncio.to_thread(packed), must_confine=must_confine)


def emit(audit: Audit, kind: str, case: Case, action: str, *, outcome: Outcome = "success", reason: str = "") -> None:
    """An event of the applier about one case."""
    metadata: dict[str, Plain] = {
        "digest": case.digest,
        "base": case.proposal.base,
        "tree": case.proposal.tree,
        "verdict": case.verdict_sequence,
    }
    audit.emit(
        kind, action=action, resource=f"{case.proposal.agent or 'fleet'}/{case.id}", outcome=outcome, reason=reason,
        metadata=metadata, trace=of_conversation(case.proposal.correlation),
    )  # fmt: skip
