"""Did each change end as it should, and is every agent whole: link, files, branch and the running process of one tree?"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from approvals.applying.release import live_tree
from approvals.git import tree_of_folder
from bus.requests.caller import Caller
from schemas import a2a
from schemas.approvals import Standing
from schemas.errors import A2AError
from tests.harness.fleet import until
from tests.harness.office import Office
from tests.selfmod.changes import Change

_ANSWERS_S = 30.0


@dataclass
class Score:
    """The counts of the last line."""

    good: int = 0
    good_live: int = 0
    bad: int = 0
    bad_back: int = 0
    mixed: int = 0
    wrong: list[str] = field(default_factory=list)
    by_kind: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, change: Change, ended: Standing, problem: str, mixed: str) -> None:
        """Count one change that ended as `ended`; `problem` and `mixed` are what is wrong with the agent then."""
        is_right = ended.state in change.ends and bool(ended.note) and not problem
        if change.is_good:
            self.good += 1
            self.good_live += is_right
        else:
            self.bad += 1
            self.bad_back += is_right
        self.by_kind[change.kind, ended.state] += 1
        self.mixed += bool(mixed)
        if not is_right or mixed:
            self.wrong.append(f"{change.name} on {ended.agent}: {ended.state}: {ended.note} | {problem} | {mixed}")

    @property
    def line(self) -> str:
        """The last line."""
        return (
            f"selfmod: good {self.good_live}/{self.good} live, bad {self.bad_back}/{self.bad} rolled back, "
            f"mixed trees {self.mixed}"
        )

    @property
    def is_perfect(self) -> bool:
        """Whether everything went as it should."""
        return (self.good_live, self.bad_back, self.mixed) == (self.good, self.bad, 0)


async def mixed(desk: Office, agent: str) -> str:
    """How the trees of an agent differ, empty when they are one."""
    approved = str(desk.git.tree_of_agent(agent))
    live = live_tree(desk.home, agent)
    files = await asyncio.to_thread(tree_of_folder, desk.home.release(agent, live))
    return "" if approved == live == files else f"branch {approved[:12]}, link {live[:12]}, files {files[:12]}"


async def answering_as(caller: Caller, agent: str, tree: str) -> str:
    """Why the agent does not answer with this tree, empty when it does."""

    async def look() -> bool:
        try:
            card = await caller.get_card(agent, timeout_s=2)
        except A2AError:
            return False
        release = next(e for e in card.capabilities.extensions if e.uri == a2a.RELEASE_URI)
        return str(release.params["tree"]) == tree

    try:
        await until(look, timeout_s=_ANSWERS_S, every_s=0.2)
    except AssertionError:
        return f"{agent} does not answer as tree {tree[:12]}"
    return ""
