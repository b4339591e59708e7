"""Which rule decides: the last match per path, the strictest over all paths, the strictest of all without one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.verdict.policy import NO_GROUP, Change, Requirement, requirement
from schemas.approvals import Kind
from schemas.errors import InvalidSubject
from schemas.policy import Policy, Rule
from schemas.subjects import require_token


def judged(rules: list[dict[str, Any]], *paths: str, kind: Kind = "config") -> Requirement:
    """What these rules require of a change to `paths` of the greeter."""
    policy = Policy(version="1", rules=tuple(Rule.model_validate(rule) for rule in rules))
    return requirement(policy, Change(kind, {f"agents/greeter/{path}": 1 for path in paths}))


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("agents/greeter/agent.yaml", "agent.yaml", True),
        ("agents/*/agent.yaml", "agent.yaml", True),
        ("agents/*/agent.yaml", "sub/agent.yaml", False),
        ("agents/*", "agent.yaml", False),
        ("agents/*/*.md", "notes.md", True),
        ("agents/*/*.md", "sub/notes.md", False),
        ("agents/*/*.md", "notesXmd", False),
        ("agents/**", "agent.yaml", True),
        ("agents/**", "a/b/c.py", True),
        ("agents/**/*.md", "notes.md", True),
        ("agents/**/*.md", "a/b/notes.md", True),
        ("agents/**/*.md", "a/b/notes.py", False),
        ("**", "a/b/c", True),
        ("**/c", "a/b/c", True),
        ("**/c", "a/b/cc", False),
        ("agents/greeter/?.md", "a.md", True),
        ("agents/greeter/?.md", "ab.md", False),
        ("agents/greeter/a?b", "a/b", False),
        ("agents/greeter/[ab].md", "a.md", False),
        ("agents/greeter/[ab].md", "[ab].md", True),
        ("agents/other/**", "agent.yaml", False),
        ("gents/**", "agent.yaml", False),
        ("agents/greeter/agent.yam", "agent.yaml", False),
        ("agents/greeter/.*", "agent.yaml", False),
    ],
)
def test_globs(pattern: str, path: str, matches: bool) -> None:
    """`*` and `?` stay within one folder, `**` does not, everything else stands for itself; all of the path matches."""
    found = judged([{"paths": [pattern], "quorum": 5}], path)
    assert (found.rule == f"policy 1: rule 1, {pattern}") is matches


LOW = {"paths": ["agents/**"], "quorum": 1, "risk": "low"}
HIGH = {"paths": ["agents/**"], "quorum": 3, "risk": "high"}


@pytest.mark.parametrize(("rules", "quorum"), [([LOW, HIGH], 3), ([HIGH, LOW], 1)])
def test_the_last_match_decides(rules: list[dict[str, Any]], quorum: int) -> None:
    """Of the rules that match a path the last one holds, be it stricter or not."""
    assert judged(rules, "agent.yaml").quorum == quorum


@pytest.mark.parametrize(("rules", "quorum"), [([], 2), ([LOW | {"paths": ["x"]}], 2), ([HIGH | {"paths": ["x"]}], 3)])
def test_no_match_is_the_strictest(rules: list[dict[str, Any]], quorum: int) -> None:
    """A path that no rule knows needs the highest quorum of the policy, two at least, at high risk."""
    found = judged(rules, "agent.yaml")
    assert (found.quorum, found.risk) == (quorum, "high")
    assert "no rule matches" in found.rule


def test_a_rule_of_other_kinds_does_not_match() -> None:
    """`kinds` narrows a rule; empty means all."""
    rules = [LOW, HIGH | {"kinds": ["code"]}]
    assert judged(rules, "agent.yaml", kind="config").quorum == 1
    assert judged(rules, "agent.yaml", kind="code").quorum == 3


def test_the_strictest_file_decides() -> None:
    """A change of several files needs what the strictest of them needs."""
    rules = [LOW, HIGH | {"paths": ["**/handler.py"]}]
    found = judged(rules, "agent.yaml", "handler.py", "notes.md")
    assert (found.quorum, found.risk) == (3, "high")
    assert "handler.py" in found.rule


def test_quorum_and_risk_are_strict_on_their_own() -> None:
    """The highest risk counts even where another file needs the higher quorum."""
    rules = [LOW | {"quorum": 4}, LOW | {"paths": ["**/a"], "risk": "high"}]
    found = judged(rules, "a", "b")
    assert (found.quorum, found.risk) == (4, "high")


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [([], [], set()), (["x"], [], {"x"}), (["x", "y"], ["y", "z"], {"y"})],
)
def test_a_voter_must_be_allowed_for_every_file(first: list[str], second: list[str], together: set[str]) -> None:
    """Over several files only the groups that all their rules name may vote."""
    rules = [LOW | {"paths": ["**/a"], "groups": first}, LOW | {"paths": ["**/b"], "groups": second}]
    assert judged(rules, "a", "b").groups == together


def test_rules_without_a_common_group_let_nobody_vote() -> None:
    """Two files of two groups cannot be decided together: nobody may vote, not everybody."""
    rules = [LOW | {"paths": ["**/a"], "groups": ["x"]}, LOW | {"paths": ["**/b"], "groups": ["y"]}]
    assert judged(rules, "a", "b").groups == {NO_GROUP}
    with pytest.raises(InvalidSubject):
        require_token("group", NO_GROUP)


def test_a_change_of_nothing_has_a_requirement_too() -> None:
    """A proposal without files is refused elsewhere; judging it must not fail, and is strict."""
    assert judged([LOW]).quorum == 2


@given(st.lists(st.sampled_from(["a", "b/c", "handler.py", "notes.md", "x/y/z.md"]), min_size=1), st.booleans())
def test_more_files_never_need_less(paths: list[str], reverse: bool) -> None:
    """Adding a file to a change can only make its requirement stricter, and order does not matter."""
    rules = [LOW, HIGH | {"paths": ["**/handler.py"]}, LOW | {"paths": ["**/*.md"], "quorum": 2}]
    whole = judged(rules, *(reversed(paths) if reverse else paths))
    assert whole.quorum == max(judged(rules, path).quorum for path in paths)
