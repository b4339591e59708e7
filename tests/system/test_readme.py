"""The README's commands, run as written, print what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agents.demo.stage import find_nats
from tests.harness.fleet import CHECKOUT, running_fleet
from tests.harness.needs import needs_nats

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "@@command"


def _examples() -> list[tuple[str, str]]:
    """(command, what it prints) of every console block, in order."""
    found: list[tuple[str, str]] = []
    for block in _BLOCK.findall((CHECKOUT / "README.md").read_text()):
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = piece.partition("\n")
            found.append((command, printed))
    return found


def _pattern(printed: str) -> str:
    """`…` stands for anything, also for lines; runs of spaces for at least one."""
    escaped = re.escape(printed.strip()).replace("…", ".*?")
    return re.sub(r"(\\ )+", r"\\ +", escaped)


@needs_nats
@pytest.mark.timeout(430)
def test_every_command_prints_what_the_readme_says(tmp_path: Path) -> None:
    """All console blocks of the README, one after the other in one shell, against a fleet as `make up` runs it."""
    examples = _examples()
    assert len(examples) >= 15
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / ".venv").symlink_to(Path(sys.prefix))
    with running_fleet(tmp_path / "fleet") as fleet:
        (folder / ".agentbus").symlink_to(fleet.home.root)
        nats = Path(str(find_nats())).parent
        script = "\n".join(f"echo {_MARK}\n{command}" for command, _ in examples)
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=400, check=False,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:{nats}", "PYTHONPATH": str(CHECKOUT)},
        )  # fmt: skip
    outputs = done.stdout.split(f"{_MARK}\n")[1:]
    assert len(outputs) == len(examples), done.stdout
    for (command, expected), output in zip(examples, outputs, strict=True):
        printed = "\n".join(
            line for line in output.splitlines() if not re.match(r"\d\d:\d\d:\d\d (Sending|Received)", line)
        )
        assert re.fullmatch(_pattern(expected), printed.strip(), re.DOTALL), (
            f"$ {command}\n{output}\nexpected:\n{expected}"
        )
