"""The page for agent authors, followed from nothing: its files written, its commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.harness.fleet import CHECKOUT, free_port
from tests.system.test_readme import _pattern

PAGE = (CHECKOUT / "agents" / "README.md").read_text()
_STEP = re.compile(r"(?:`(my-fleet/[^`\n]+)`:\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and what it prints."""
    for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, printed = piece.partition("\n")
        yield command, printed


def run(command: str, folder: Path) -> str:
    """What a command prints, in `folder`, with the program of this environment."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
    }
    environment.pop("ANTHROPIC_API_KEY", None)
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"$ {command}\n{done.stdout}"
    return done.stdout.strip()


@pytest.mark.timeout(400)
def test_from_nothing_to_an_agent_that_answers(tmp_path: Path) -> None:
    """Every file that the page names is written as it stands there, every command runs and prints what it says."""
    said: dict[str, str] = {}
    try:
        for path, kind, text in _STEP.findall(PAGE.partition("\n## More")[0]):
            if kind != "console":
                assert path, f"a block that the page gives no name:\n{text}"
                (tmp_path / path).write_text(text)
                continue
            for command, expected in commands(text):
                said[command] = run(command, tmp_path)
                assert re.fullmatch(_pattern(expected), said[command], re.DOTALL), f"$ {command}\n{said[command]}"
                if " agent new " in command:
                    _take_another_port(tmp_path / "my-fleet" / "fleet.yaml")
    finally:
        if (tmp_path / "my-home").exists():
            subprocess.run(["bash", "-c", "agentbus down --home my-home"], cwd=tmp_path, check=False, capture_output=True,
                           env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})  # fmt: skip
    [answer] = [output for command, output in said.items() if " ask " in command]
    assert "people" in answer


def _take_another_port(fleet: Path) -> None:
    """The page's fleet listens where every fleet does; tests run beside others."""
    document = yaml.safe_load(fleet.read_text())
    document.setdefault("nats", {})["port"] = free_port()
    fleet.write_text(yaml.safe_dump(document))
