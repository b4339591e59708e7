"""`agentbus agent check`, as an author runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents.cli.agent.new import TEMPLATES
from tests.harness.command import agentbus
from tests.harness.trees import tree


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return agentbus("agent", "check", *arguments, timeout_s=90)


@pytest.mark.parametrize(
    ("test", "code", "says"),
    [("assert True", 0, "OK valid; 1 test passed in "), ("assert 2 < 1, 'two'", 1, "FAILED 1 of 1 tests failed: ")],
)
def test_an_author_is_told(tmp_path: Path, test: str, code: int, says: str) -> None:
    """One line says how it went and where; what the tests printed is shown when they fail."""
    tree(tmp_path / "probe", {"tests/test_it.py": f"def test_it():\n    {test}\n"})
    done = check(str(tmp_path / "probe"))
    assert (done.returncode, done.stdout.startswith(says)) == (code, True), done
    assert ("AssertionError: two" in done.stderr) is (code == 1)
    as_json = check(str(tmp_path / "probe"), "--json")
    found = json.loads(as_json.stdout)
    assert as_json.returncode == code
    assert found["passed"] is (code == 0)
    assert found["where"] in done.stdout


def test_a_template_with_tools_passes(tmp_path: Path) -> None:
    """A model that is a script, tools that write files: all of it works in the sandbox, without a socket."""
    shutil.copytree(TEMPLATES / "tools", tmp_path / "tools")
    done = check(str(tmp_path / "tools"))
    assert (done.returncode, done.stdout.startswith("OK valid; 2 tests passed in ")) == (0, True), done


def test_a_folder_that_cannot_be_checked_is_a_configuration_error(tmp_path: Path) -> None:
    """No such folder, no agent.yaml and one that is none end with 78 and one sentence."""
    tree(tmp_path / "probe", {"agent.yaml": "agent: {id: probe}\n"})
    (tmp_path / "empty").mkdir()
    for folder in ("nothing", "empty", "probe"):
        done = check(str(tmp_path / folder))
        assert (done.returncode, done.stdout) == (78, ""), done
        assert done.stderr.startswith("agentbus: ")


def test_the_program_answers_with_one_line_whatever_it_reads() -> None:
    """What is not an archive of an agent is a failed report, not an error."""
    for content in (b"", b"not an archive" * 100):
        command = [sys.executable, "-m", "agents.cli", "agent", "check", "-"]
        done = subprocess.run(command, input=content, capture_output=True, timeout=90, check=False)
        assert (done.returncode, done.stdout.count(b"\n")) == (0, 1)
        assert json.loads(done.stdout)["passed"] is False
