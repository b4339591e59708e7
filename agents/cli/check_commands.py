"""`agentbus agent check`: an author's look at what reviewers will see, and the program that sandboxes start."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from agents.processes.trying import local_sandbox
from agents.runtime.loading.agent_folder import read_folder
from agents.runtime.loading.check import check_from_stdin
from approvals.trial.tree_tar import tar_of_folder
from schemas.agent.reading import NOWHERE

STDIN = "-"


def check(folder: str, seconds: float, *, as_json: bool) -> None:
    """Try the folder in the local sandbox and say how it went; exit 1 when it failed."""
    if folder == STDIN:
        check_from_stdin(seconds)
        return
    path = Path(folder)
    files = tar_of_folder(path)
    result = asyncio.run(local_sandbox(seconds=seconds).check(_agent_of(path), files))
    if as_json:
        print(msgspec.json.encode(result).decode())
    else:
        if not result.passed and result.output:
            print(result.output.rstrip(), file=sys.stderr)
        print(f"{'OK' if result.passed else 'FAILED'} {result.summary} ({result.where})")
    raise SystemExit(0 if result.passed else 1)


def _agent_of(folder: Path) -> str:
    """The id in the agent's file; nothing of the folder is imported here."""
    return read_folder(folder, NOWHERE).file.agent.id
