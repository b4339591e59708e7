"""How many lines a proposal changes at each path: what a rule's `max_lines` is compared with."""

from __future__ import annotations

import re
from functools import lru_cache

from schemas.approvals import Proposal, ToolCall

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_FILE = "diff --git "


def changed_lines(proposal: Proposal) -> dict[str, int]:
    """Lines removed and added by full path (`agents/<agent>/…`, or a file of the fleet), from the diff.

    A call of a tool is one line at `agents/<agent>/call:<tool>`, which is the path of no file. A file that the diff does not name (an empty one, a mode) counts as no line. Whether the diff is true is checked
    elsewhere; one that is not can never be applied.
    """
    if isinstance(proposal.call, ToolCall):
        return {f"agents/{proposal.agent}/call:{proposal.call.tool}": 1}
    counted = _counts(proposal.diff)
    folder = "" if proposal.is_of_fleet else f"agents/{proposal.agent}/"
    return {f"{folder}{file.path}": counted.get(file.path, 0) for file in proposal.files}


@lru_cache(maxsize=512)
def _counts(diff: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    path, left = "", 0
    for line in diff.split("\n"):
        if left > 0:
            # inside a hunk: what a line begins with says on which sides it stands, whatever it looks like
            left -= _sides(line)
            counts[path] = counts.get(path, 0) + line.startswith(("+", "-"))
        elif line.startswith(_FILE):
            path = line.rsplit(" b/", 1)[-1]
        elif hunk := _HUNK.match(line):
            left = int(hunk[1] or 1) + int(hunk[2] or 1)
    return counts


def _sides(line: str) -> int:
    return {"+": 1, "-": 1, "\\": 0}.get(line[:1], 2)
