"""Nothing is skipped for a reason that README does not name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.harness.needs import Reason
from tests.test_layout import ROOT, modules, named, tree_of

SKIPPING = {"skip", "skipif", "importorskip", "SkipTest", "skipUnless", "skipIf", "Skipped"}


def test_readme_names_every_reason() -> None:
    """Word for word, each once, and none that no test has."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"is skipped, for one of these reasons:\n((?:- .+\n)+)", readme)
    assert found
    assert found[1].splitlines() == [f"- {reason}" for reason in Reason]


def _skipping(path: Path) -> set[str]:
    """What of pytest's or unittest's ways to skip a file uses."""
    return SKIPPING & {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}


def test_only_one_module_skips() -> None:
    """Whoever wants to skip does it with a reason of the list."""
    using = {named(path): ways for path in modules("tests") if (ways := _skipping(path))}
    assert using == {"tests/harness/needs.py": {"skip", "skipif"}}
