"""SIGHUP (`systemctl reload`): a process looks at its files again, says what is so, and goes on as it is.

Nothing that runs is changed by it: what is approved comes into force with a new process, which the applier starts, and
keys that systemd loaded stay those of the start. So it is a question without a risk: are the files that the next start
would read sound, and are they those that run?
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import structlog

from agents.notify import Notifier
from approvals.git import tree_of_folder
from schemas.errors import InvalidDocument

_log = structlog.get_logger("process")
Look = Callable[[], str]
"""What there is to say of the files, in one sentence.

Raises:
    InvalidDocument: they cannot be used.
"""


def nothing() -> str:
    """The look of a process that has no files of its own."""
    return "there is nothing to read again; restart it for new keys"


def look_at_agent(path: Path, tree: str) -> Look:
    """The look of an agent whose file is `path` and that runs `tree`. No code of it is imported."""
    from agents.runtime.loading.agent_folder import read_folder  # sealer and witnesses, which have none, start without

    def look() -> str:
        folder = read_folder(path, os.environ).folder
        now = tree_of_folder(folder)
        if now == tree:
            return "its files are those that run"
        return f"tree {now[:12]} is there and its file is sound; it comes into force with a restart"

    return look


async def look_again(asked: asyncio.Event, look: Look, notifier: Notifier, status: str) -> None:
    """Each time that `asked` is set, look, and tell the log and the service manager; until cancelled."""
    while True:
        await asked.wait()
        asked.clear()
        notifier.reloading()
        try:
            said = await asyncio.to_thread(look)
            _log.info("process.looked_again", found=said)
        except InvalidDocument as error:
            said = f"what is there now cannot be used, and what ran goes on: {str(error).splitlines()[0]}"
            _log.error("process.looked_again", found=str(error), advice="mend it before the next restart")
        notifier.ready(f"{status}; {said}")
