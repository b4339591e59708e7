"""A whole conversation, as a tree."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agents.cli.audit.progress import Progress
from agents.cli.audit.replay import Shape, trail_of
from agents.cli.run import log_quietly, run_async
from bus.audit.questions.conversation import conversation
from bus.audit.questions.tree import tree
from bus.audit.questions.tree_render import lines, rows
from bus.audit.select import Selection
from bus.audit.told import Told
from schemas.errors import InvalidDocument
from schemas.text import harmless


def show_tree(root: Path, name: str, within: Selection, shape: Shape) -> None:
    """Print the conversation that `name` belongs to; exit 1 where there is none."""
    log_quietly()
    if shape.is_followed or shape.limit:
        raise InvalidDocument("--tree shows a whole conversation: leave --follow and --limit away")

    async def main() -> tuple[str, list[Told]]:
        async with trail_of(root) as reader:
            progress = await Progress.over(reader)
            try:
                return await conversation(reader, name, within, progress.at)
            finally:
                progress.end()

    correlation, events = run_async(main())
    if not events:
        print(f"nothing on the trail belongs to {harmless(name[:80])!r}: no conversation, task, proposal or event")
        raise SystemExit(1)
    roots = tree(events)
    if shape.is_json:
        print(msgspec.json.encode({"correlation": correlation, "nodes": rows(roots)}).decode())
    else:
        print("\n".join(lines(roots, correlation)))
