"""What continuous integration does when the `nats` command cannot be built: with Go, and without it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.fleet import CHECKOUT

TOOLS = ("sh", "make", "dirname", "mkdir", "mktemp", "chmod", "rm", "cp", "mv", "cat", "echo", "python3")
MAKEFILE = """\
install: ; @:
check: ; @echo checked
test: ; @echo tested
"""
SKIPPED = "tests with the nats command are skipped"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts as they are, in a checkout whose checks and tests are over at once; `tools` is all it finds."""
    shutil.copytree(CHECKOUT / ".ci", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "tools").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "tools" / tool).symlink_to(found)
    return tmp_path


def _broken_go(checkout: Path) -> None:
    go = checkout / "tools" / "go"
    go.write_text("#!/bin/sh\necho no module for you\nexit 1\n")
    go.chmod(0o755)


def _run(checkout: Path, ci: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout / "tools"), "HOME": str(checkout), "CI": ci, "TMPDIR": str(checkout)}
    return subprocess.run(
        [".ci/run"], cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def test_go_that_builds_no_nats_command_fails_the_run(checkout: Path) -> None:
    """Before a test is run, and with what Go said."""
    _broken_go(checkout)
    done = _run(checkout, "true")
    assert done.returncode != 0
    assert "no module for you" in done.stderr
    assert "tested" not in done.stdout


@pytest.mark.parametrize("has_go", [True, False])
def test_without_it_the_run_goes_on_and_says_so(checkout: Path, has_go: bool) -> None:
    """On a person's machine, and where there is no Go."""
    if has_go:
        _broken_go(checkout)
    done = _run(checkout, "" if has_go else "true")
    assert done.returncode == 0, done.stderr
    assert SKIPPED in done.stdout
    assert "checked\n" in done.stdout
    assert done.stdout.endswith("tested\n")
