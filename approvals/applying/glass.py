"""What an operator did by breaking the glass, put into force at once, and undone when people do not confirm it.

    halt      stop every instance                  undone: start them
    revert    the release before the present one   undone: the release that was live before

Nothing else can be done this way, and nothing new can come in by it: the tree of a revert was approved before.
"""

from __future__ import annotations

import asyncio
from functools import partial

from approvals.applying.canary import CanaryFailed
from approvals.applying.control import RestartFailed
from approvals.applying.health import NotHealthy
from approvals.applying.journal import Entry
from approvals.applying.release import ReleaseDiffers, make_release, switch
from approvals.applying.steps import SWIFT, Application, Refused
from approvals.errors import GitFailed
from approvals.git import AGENTS, BRANCH, Git
from approvals.repository import commit_release

_HISTORY = 200
_FAILURES = (RestartFailed, NotHealthy, CanaryFailed, GitFailed, ReleaseDiffers)


async def enforce(application: Application) -> str:
    """Do it; returns what was done, in words.

    Raises:
        Refused: it could not be done.
    """
    if application.case.proposal.kind == "halt":
        return await _halt(application)
    plan = _entry(application, "revert")
    if plan is None:
        git, agent = application.tools.git, application.case.proposal.agent
        present, before = await asyncio.to_thread(_last_two, git, agent)
        await application.intend("revert", previous=present, tree=before)
    return await _to_release(application, "revert", forward=True)


async def undo(application: Application) -> str:
    """Undo it; returns what was done, in words.

    Raises:
        Refused: it could not be done.
    """
    if application.case.proposal.kind == "halt":
        return await _start(application)
    await application.intend("undo")
    return await _to_release(application, "revert", forward=False)


async def _halt(application: Application) -> str:
    agent = application.case.proposal.agent
    await application.intend("halt")
    try:
        for slot in application.slots:
            await application.tools.control.stop(agent, slot)
    except RestartFailed as error:
        raise Refused(str(error)) from error
    return f"{agent} is stopped"


async def _start(application: Application) -> str:
    agent = application.case.proposal.agent
    await application.intend("start")
    try:
        for slot in application.slots:
            await application.tools.control.restart(agent, slot, SWIFT.ready_within_s)
    except RestartFailed as error:
        raise Refused(str(error)) from error
    return f"{agent} runs again"


async def _to_release(application: Application, step: str, *, forward: bool) -> str:
    """Put the release of the journal's plan live. How long it stays well is not waited for: this is done in a hurry."""
    tools, agent = application.tools, application.case.proposal.agent
    plan = _entry(application, step)
    if plan is None:
        raise Refused("the journal does not say what was live before")
    tree = plan.tree if forward else plan.previous
    try:
        await asyncio.to_thread(make_release, tools.git, tools.home, agent, tree)
        switch(tools.home, agent, tree)
        for slot in application.slots:
            await application.restart(slot, tree, SWIFT)
        await application.on_branch(partial(commit_release, tree=tree))
    except _FAILURES as error:
        raise Refused(str(error)) from error
    return f"{agent} runs tree {tree[:12]} again"


def _entry(application: Application, step: str) -> Entry | None:
    return next((entry for entry in application.tools.journal.of(application.case.id) if entry.step == step), None)


def _last_two(git: Git, agent: str) -> tuple[str, str]:
    """The tree of the agent in force, and the one before it.

    Raises:
        Refused: there was none before.
    """
    path = f"{AGENTS}/{agent}"
    commits = git.line("rev-list", "--first-parent", f"--max-count={_HISTORY}", BRANCH, "--", path).split()
    trees = [git.line("rev-parse", f"{commit}:{path}") for commit in commits]
    present = str(git.tree_of_agent(agent))
    before = next((tree for tree in trees if tree != present), "")
    if not before:
        raise Refused(f"{agent} has no release before its present one")
    return present, before
