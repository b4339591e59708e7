"""Who counts: the reviewers of one set of rules, what those rules require, and whether the votes meet it.

A change of the rules themselves has two panels, of the old rules and of the new ones, and needs both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from approvals.verdict.policy import Requirement
from schemas.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Panel:
    """`people` maps each name that may vote to the person behind it; two names of one person are one vote."""

    requirement: Requirement
    people: Mapping[str, str]

    def approvals(self, approving: Iterable[str]) -> int:
        """How many distinct people approve."""
        return len({self.people[name] for name in approving if name in self.people})

    def is_met(self, approving: Iterable[str]) -> bool:
        """Whether the quorum is reached."""
        return self.approvals(approving) >= self.requirement.quorum


def panel_of(fleet: Fleet, needed: Requirement, proposer: str) -> Panel:
    """The reviewers of `fleet` who may vote on what `proposer` wants: of a group that is named, and not that person."""
    excluded = fleet.person(proposer)
    people = {
        name: fleet.person(name)
        for name, reviewer in fleet.reviewers.items()
        if fleet.person(name) != excluded and (not needed.groups or needed.groups & set(reviewer.groups))
    }
    return Panel(needed, people)


NOBODY = Panel(Requirement(quorum=1, groups=frozenset(), risk="high", rule="its new rules cannot be read"), {})
"""A panel that nothing can meet."""
