"""What of the lock an installation takes."""

from __future__ import annotations

import pytest

from agents.installing.errors import NotPossible
from agents.installing.lock import needed, read_lock
from agents.installing.packages import for_linux, others_here
from agents.installing.source import this_product

LOCK = """\
a==1 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via agentbus (pyproject.toml)
b-c==2 ; sys_platform != 'emscripten' \\
    --hash=sha256:02
    # via
    #   a
    #   tool
only-windows==3 ; sys_platform == 'win32' \\
    --hash=sha256:03
    # via a
heavy==4 \\
    --hash=sha256:04
    # via agentbus (pyproject.toml)
tool==5 \\
    --hash=sha256:05
    # via agentbus (pyproject.toml:dev)
"""
REQUIREMENTS = ["a>=1", "heavy>=4; extra == 'more'"]


def names(*extras: str) -> list[str]:
    """The packages that are taken."""
    return [package.name for package in needed(read_lock(LOCK), REQUIREMENTS, extras)]


def test_what_the_product_needs_is_taken_with_what_that_needs() -> None:
    """Developers' tools and extras that nobody asked for stay out."""
    assert names() == ["a", "b-c", "only-windows"]
    assert names("more") == ["a", "b-c", "only-windows", "heavy"]


def test_lines_keep_their_hashes_and_lose_their_comments() -> None:
    """pip gets each package as the lock has it."""
    assert read_lock(LOCK)[0].lines == "a==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01"


def test_packages_of_other_systems_are_left_out() -> None:
    """Only a marker that names another system alone does that."""
    assert [package.name for package in for_linux(read_lock(LOCK))] == ["a", "b-c", "heavy", "tool"]


@pytest.mark.parametrize(
    ("requirements", "extras", "said"),
    [(["absent"], [], "lacks absent"), (REQUIREMENTS, ["none"], "no extra none; there are more")],
)
def test_what_cannot_be_had_is_named(requirements: list[str], extras: list[str], said: str) -> None:
    """A lock that is too old, an extra that does not exist."""
    with pytest.raises(NotPossible, match=said):
        needed(read_lock(LOCK), requirements, extras)


def test_this_environment_has_what_the_lock_names() -> None:
    """The real lock covers every extra, and an environment made from it can be copied without a registry."""
    source = this_product()
    extras = {line.split("'")[1] for line in source.requirements() if "extra ==" in line}
    taken = for_linux(needed(read_lock(source.lock.read_text()), source.requirements(), extras))
    assert extras >= {"anthropic", "mcp", "openai"}
    assert others_here(taken) == []
    assert "pytest" not in {package.name for package in taken}
