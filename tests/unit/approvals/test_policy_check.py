"""A policy that can be read can still be wrong: rules that decide nothing, and rules that nobody can meet."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.verdict.policy_check import findings_of
from schemas.fleet import Fleet
from schemas.policy import Policy
from tests.unit.approvals.cases import FLEET


def said(*rules: dict[str, Any], fleet: Fleet = FLEET) -> list[tuple[str, int]]:
    """Severity and rule of each finding."""
    policy = Policy.model_validate({"version": "1", "rules": list(rules)})
    return [(finding.severity, finding.rule) for finding in findings_of(policy, fleet)]


ALL = {"paths": ["agents/**"]}


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ([ALL], []),
        ([ALL | {"quorum": 2, "groups": ["staff"]}], []),
        ([ALL | {"quorum": 3, "groups": ["staff"]}], [("error", 1)]),
        ([ALL | {"quorum": 4}], [("error", 1), ("warning", 0)]),
        ([ALL | {"groups": ["nobody"]}], [("warning", 1), ("error", 1)]),
        ([ALL, {"paths": ["**"]}], [("warning", 1)]),
        ([{"paths": ["agents/greeter/agent.yaml"]}, ALL], [("warning", 1)]),
        ([{"paths": ["agents/greeter/agent.yaml", "fleet.yaml"]}, ALL], []),
        ([ALL, {"paths": ["agents/greeter/**"]}], []),
        ([ALL, ALL | {"kinds": ["code"]}], []),
        ([ALL | {"kinds": ["code"]}, ALL | {"kinds": ["code", "tool"]}], [("warning", 1)]),
        ([ALL, ALL | {"max_lines": 10}], []),
        ([ALL | {"max_lines": 5}, ALL | {"max_lines": 10}], [("warning", 1)]),
        ([ALL | {"max_lines": 20}, ALL | {"max_lines": 10}], []),
        ([{"paths": ["agents/*/x"]}, {"paths": ["agents/*/**"]}], []),
    ],
)
def test_findings(rules: list[dict[str, Any]], found: list[tuple[str, int]]) -> None:
    """Each is named with its rule; nothing is named that may be meant."""
    assert said(*rules) == found


def test_two_names_of_one_person_cannot_meet_a_quorum_of_two() -> None:
    """People are counted, not keys."""
    fleet = Fleet.model_validate({**FLEET.model_dump(), "same_person": [["ann", "ben"]]})
    assert said(ALL | {"quorum": 2, "groups": ["staff"]}, fleet=fleet) == [("error", 1)]
