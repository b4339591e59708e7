"""A server that is held still for a moment, so that its files are those of one moment.

It is stopped as Ctrl-Z stops a program: it keeps its connections, and what comes meanwhile waits in the kernel. A
child waits for the end of this process and has the server go on, should this process be killed first.

Source: signal(7), SIGSTOP and SIGCONT.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bus.errors import NoServer

_GOES_ON: Final = 'read -r _; kill -CONT "$1"'
_STILL_WITHIN_S: Final = 1.0
_STOPPED: Final = frozenset("Tt")


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Nothing that the server does happens within; it goes on however this ends.

    Raises:
        NoServer: it is not there, not ours to hold, or does not stand still.
    """
    watching = subprocess.Popen(
        ["/bin/sh", "-c", _GOES_ON, "sh", str(pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        os.kill(pid, signal.SIGSTOP)
        _require_still(pid)
        yield
    except (ProcessLookupError, PermissionError) as error:
        raise NoServer(f"the server, process {pid}, cannot be held still: {error.strerror}") from None
    finally:
        watching.communicate()  # the end of its input: it has the server go on


def _require_still(pid: int) -> None:
    """All threads have stopped; the kernel takes a moment for those that are at work."""
    deadline = time.monotonic() + _STILL_WITHIN_S
    while not all(state in _STOPPED for state in _states(pid)):
        if time.monotonic() > deadline:
            raise NoServer(f"the server, process {pid}, does not stand still; see what it waits for, and try again")
        time.sleep(0.001)


def _states(pid: int) -> Iterator[str]:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        yield (thread / "stat").read_text().rpartition(")")[2].split()[0]
