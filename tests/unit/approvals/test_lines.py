"""How many lines a proposal changes: what a limit of lines is compared with, counted from the diff."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from approvals.verdict.lines import changed_lines
from tests.unit.approvals.cases import proposal
from tests.unit.approvals.fleet_repository import AGENT_YAML, FORMAL, Change, Desk, plain

TRICKY = b"--- a/agent.yaml\n+++ b/other\n@@ -1 +1 @@\ndiff --git a/x b/x\n\\ No newline\n"


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"agent.yaml": plain(FORMAL)}, {"agent.yaml": 2}),
        ({"notes.md": plain(b"a\nb\nc\n")}, {"notes.md": 3}),
        ({"notes.md": plain(b"a\nb")}, {"notes.md": 2}),
        ({"empty.md": plain(b"")}, {"empty.md": 0}),
        ({"agent.yaml": ("100755", AGENT_YAML)}, {"agent.yaml": 0}),
        ({"tricky.md": plain(TRICKY)}, {"tricky.md": 5}),
        ({"tricky.md": plain(TRICKY), "z.md": plain(b"z\n")}, {"tricky.md": 5, "z.md": 1}),
        ({"agent.yaml": plain(FORMAL), "sub/a b".replace(" ", "-"): plain(b"x\n")}, {"agent.yaml": 2, "sub/a-b": 1}),
    ],
    ids=str,
)
def test_lines_are_counted_in_gits_own_diff(
    tmp_path: Path, changes: Mapping[str, Change], lines: dict[str, int]
) -> None:
    """Added and removed lines, whatever they look like."""
    counted = changed_lines(Desk.at(tmp_path).propose(changes))
    assert counted == {f"agents/greeter/{path}": count for path, count in lines.items()}


def test_a_removed_file_counts_its_lines(tmp_path: Path) -> None:
    """All of what is gone."""
    counted = changed_lines(Desk.at(tmp_path).propose({"agent.yaml": None}))
    assert counted == {"agents/greeter/agent.yaml": AGENT_YAML.count(b"\n")}


@pytest.mark.parametrize(
    "diff", ["", "x", "@@ -1,9 +1,9 @@\n+x", "diff --git a/agent.yaml b/agent.yaml\n@@ -0,0 +1 @@"]
)
def test_a_diff_that_is_none_is_counted_too(diff: str) -> None:
    """It can never be applied; counting must not fail."""
    assert changed_lines(proposal(diff=diff)) == {"agents/greeter/agent.yaml": 0}
