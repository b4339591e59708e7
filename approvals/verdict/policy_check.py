"""What is wrong with a policy that can be read: rules that decide nothing, and rules that nobody can meet."""

from __future__ import annotations

from typing import Literal, NamedTuple

from approvals.verdict.panel import panel_of
from approvals.verdict.policy import Change, requirement
from schemas.fleet import Fleet
from schemas.policy import Policy, Rule

Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """`rule` is its place in the policy from 1 on, 0 for the whole."""

    severity: Severity
    rule: int
    problem: str
    fix: str


def findings_of(policy: Policy, fleet: Fleet) -> list[Finding]:
    """Everything that is worth saying, in the order of the rules. An error lets some change never be approved."""
    found: list[Finding] = []
    for number, rule in enumerate(policy.rules, start=1):
        found += _of_groups(number, rule, fleet)
        found += _of_quorum(number, rule, fleet)
        later = next((n for n in range(number + 1, len(policy.rules) + 1) if _covers(policy.rules[n - 1], rule)), 0)
        if later:
            problem = f"decides nothing: rule {later} is for all of it and comes later"
            found.append(Finding("warning", number, problem, f"remove it, or move it behind rule {later}"))
    return [*found, *_of_strictest(policy, fleet)]


def _of_groups(number: int, rule: Rule, fleet: Fleet) -> list[Finding]:
    known = {group for reviewer in fleet.reviewers.values() for group in reviewer.groups}
    unknown = sorted(set(rule.groups) - known)
    if not unknown:
        return []
    fix = f"groups with reviewers are: {', '.join(sorted(known)) or 'none'}"
    return [Finding("warning", number, f"nobody is in {', '.join(unknown)}", fix)]


def _of_quorum(number: int, rule: Rule, fleet: Fleet) -> list[Finding]:
    able = {
        fleet.person(name)
        for name, reviewer in fleet.reviewers.items()
        if not rule.groups or set(rule.groups) & set(reviewer.groups)
    }
    if rule.quorum <= len(able):
        return []
    problem = f"needs {rule.quorum} approvals, but only {len(able)} people may vote"
    return [Finding("error", number, problem, "add reviewers to the fleet file, or lower the quorum")]


def _of_strictest(policy: Policy, fleet: Fleet) -> list[Finding]:
    needed = requirement(policy, Change("policy", {}))
    able = len(set(panel_of(fleet, needed, "").people.values()))
    if needed.quorum <= able:
        return []
    problem = (
        f"what no rule matches, and every change of the policy or of what an agent may do, needs {needed.quorum} "
        f"approvals, but there are {able} reviewers"
    )
    return [Finding("warning", 0, problem, "add reviewers; until then only an operator's commit changes these")]


def _covers(later: Rule, rule: Rule) -> bool:
    """Whether `later` matches whatever `rule` does; False where that is not plain to see."""
    if later.max_lines is not None and (rule.max_lines is None or rule.max_lines > later.max_lines):
        return False
    if not later.kinds and "call" in rule.kinds:
        return False
    if later.kinds and not (rule.kinds and set(rule.kinds) <= set(later.kinds)):
        return False
    return all(any(_pattern_covers(wide, path) for wide in later.paths) for path in rule.paths)


def _pattern_covers(wide: str, narrow: str) -> bool:
    if wide in {narrow, "**"}:
        return True
    folder = wide.removesuffix("**")
    return folder != wide and "*" not in folder and "?" not in folder and narrow.startswith(folder)
