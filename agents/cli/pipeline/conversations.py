"""A run's conversation from the trail, once its last events are there."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.cli.audit.replay import trail_of
from agents.cli.run import run_async
from agents.pipeline.running import Run
from bus.audit.questions.conversation import conversation
from bus.audit.questions.tree import Node, tree
from bus.audit.questions.tree_render import lines, rows, walk
from bus.audit.select import Selection

_WITHIN_S = 20.0
"""How long the last events of a conversation may take to be on the trail."""
_MARGIN_S = 3600.0
"""Clocks of this machine and the server differ by less."""
_POLL_S = 0.5


def lines_of(home: Path, run: Run) -> list[str]:
    """The tree, for a person."""
    return lines(run_async(_roots(home, run)), run.name)


def rows_of(home: Path, run: Run) -> list[dict[str, Any]]:
    """The tree, for a machine."""
    return rows(run_async(_roots(home, run)))


async def _roots(home: Path, run: Run) -> list[Node]:
    """What the trail has of the run; as much as there is, when some of it has not come after a while."""
    wanted = {f"{done.step.agent}/{done.task.id}" for done in run.finished}
    began_s = min((tried.at_s for tried in run.journal.all()), default=time.time())
    since = datetime.datetime.fromtimestamp(began_s - _MARGIN_S, datetime.UTC)
    until_s = time.monotonic() + _WITHIN_S
    async with trail_of(home) as reader:
        while True:
            _, events = await conversation(reader, run.name, Selection(since=since))
            roots = tree(events)
            if wanted <= set(_ended(roots)) or time.monotonic() > until_s:
                return roots
            await asyncio.sleep(_POLL_S)


def _ended(roots: list[Node]) -> Iterator[str]:
    return (node.resource for node, _, _ in walk(roots) if node.kind == "task" and node.outcome != "unknown")
