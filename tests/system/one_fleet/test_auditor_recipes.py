"""The auditor's page for the plain `nats` command: every command on it, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from agents.demo.stage import find_nats
from tests.harness.fleet import CHECKOUT, RunningFleet
from tests.harness.needs import needs_jq, needs_nats
from tests.system.test_readme import _BLOCK, _MARK, _pattern

NOISE = re.compile(r"\d\d:\d\d:\d\d (Sending|Received)")


def _examples() -> list[tuple[str, str]]:
    """(command, what it prints) of every console block of the page, in order."""
    page = (CHECKOUT / "nats" / "TRAIL.md").read_text()
    pieces = [piece for block in _BLOCK.findall(page) for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, printed) for command, _, printed in (piece.partition("\n") for piece in pieces)]


@needs_nats
@needs_jq
def test_every_command_prints_what_the_page_says(fleet: RunningFleet, tmp_path: Path) -> None:
    """All console blocks of nats/TRAIL.md in one shell, as the auditor of a running fleet, in an empty folder."""
    fleet.run("ask", "concierge", "hello")
    examples = _examples()
    assert len(examples) >= 10
    script = "\n".join(f"echo {_MARK}\n{command}" for command, _ in examples)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        check=False, env={
            **os.environ, "PATH": f"{os.environ['PATH']}:{Path(str(find_nats())).parent}",
            "XDG_CONFIG_HOME": str(fleet.home.contexts),
        },
    )  # fmt: skip
    outputs = done.stdout.split(f"{_MARK}\n")[1:]
    assert len(outputs) == len(examples), done.stdout
    for (command, expected), output in zip(examples, outputs, strict=True):
        printed = "\n".join(line for line in output.splitlines() if not NOISE.match(line)).strip()
        assert re.fullmatch(_pattern(expected), printed, re.DOTALL), f"$ {command}\n{output}\nexpected:\n{expected}"
        assert not re.search(r"error|violation", printed), f"$ {command}\n{output}"
