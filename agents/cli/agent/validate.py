"""`agentbus agent validate`: a line for each thing that is wrong, and what to do about it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agents.cli.agent.findings import Findings, files_of, findings
from agents.cli.run import log_quietly
from schemas.errors import InvalidDocument, Problem
from schemas.text import harmless

CANNOT_TELL = 2


def validate(paths: Sequence[Path], *, is_strict: bool, as_json: bool) -> None:
    """Look at each of them and exit: 0 all can be used, 1 something is wrong, 2 one cannot be read."""
    log_quietly()
    found: list[Findings] = []
    unreadable: list[str] = []
    for file in dict.fromkeys(file for path in paths for file in files_of(path)):
        try:
            each = findings(file, os.environ)
        except InvalidDocument as error:
            unreadable.append(harmless(str(error)))
        else:
            found.append(each.strictly() if is_strict else each)
    if as_json:
        print(json.dumps(_as_json(found, unreadable), indent=2))
    else:
        _print(found, unreadable)
    raise SystemExit(CANNOT_TELL if unreadable else int(not all(each.is_valid for each in found)))


def _print(found: Sequence[Findings], unreadable: Sequence[str]) -> None:
    for each in found:
        for problem in each.problems:
            print(harmless(_line(problem)))
        if each.is_valid:
            print(harmless(f"{each.file}: {each.told}"))
    for said in unreadable:
        print(f"agentbus: {said}", file=sys.stderr)


def _line(problem: Problem) -> str:
    """As compilers write it, so that editors find the place."""
    if problem.level == "error":
        return str(problem)
    return str(msgspec.structs.replace(problem, key=f"warning: {problem.key}".removesuffix(": ")))


def _as_json(found: Sequence[Findings], unreadable: Sequence[str]) -> dict[str, object]:
    files = [
        {
            "file": each.file,
            "valid": each.is_valid,
            "told": each.told,
            "problems": [msgspec.to_builtins(problem) for problem in each.problems],
        }
        for each in found
    ]
    return {
        "valid": not unreadable and all(each.is_valid for each in found),
        "files": files,
        "unreadable": list(unreadable),
    }
