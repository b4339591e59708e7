"""Printing what the doctor found."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

from agents.cli.run import log_quietly, run_async
from agents.cli.shown import is_colourful
from agents.doctor import Examined, Level, examine
from agents.observing import place_of
from schemas.text import harmless

_MARKS = {Level.OK: ("ok", "32"), Level.WARNING: ("warning", "33"), Level.FAILURE: ("FAILURE", "31")}
_WIDTH = max(len(word) for word, _ in _MARKS.values())


def doctor(root: Path, *, is_strict: bool, is_terse: bool, as_json: bool) -> None:
    """Print a line for each finding, and its fix below; exit 1 when something is wrong."""
    log_quietly()
    found = run_async(_found(root, is_terse=is_terse, is_shown=not as_json))
    counts = Counter(each.finding.level for each in found)
    if as_json:
        print(json.dumps({"home": str(root.resolve()), "findings": [_as_json(each) for each in found]}, indent=2))
    else:
        print(f"{counts[Level.OK]} ok, {counts[Level.WARNING]} to look at, {counts[Level.FAILURE]} wrong")
    raise SystemExit(1 if counts[Level.FAILURE] or (is_strict and counts[Level.WARNING]) else 0)


async def _found(root: Path, *, is_terse: bool, is_shown: bool) -> list[Examined]:
    found: list[Examined] = []
    async for each in examine(place_of(root, time.time())):
        found.append(each)
        if is_shown and not (is_terse and each.finding.level is Level.OK):
            print(_line(each), flush=True)
    return found


def _line(each: Examined) -> str:
    word, colour = _MARKS[each.finding.level]
    mark = f"{word:<{_WIDTH}}"
    shown = f"\x1b[{colour}m{mark}\x1b[0m" if is_colourful() else mark
    fix = f"\n{'':<{_WIDTH}}  → {harmless(each.finding.fix)}" if each.finding.fix else ""
    return f"{shown}  {each.area}: {harmless(each.finding.says)}{fix}"


def _as_json(each: Examined) -> dict[str, str]:
    finding = each.finding
    return {"area": each.area, "check": each.check, "level": finding.level, "says": finding.says, "fix": finding.fix}
