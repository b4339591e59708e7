"""The terminal's foreground: Ctrl-C for this process alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_foreground() -> Iterator[None]:
    """Take the terminal's foreground for a process group of our own, and give it back.

    Ctrl-C goes to every process of the foreground group. `make up` would die of it while the fleet still
    stops in order, and report a failure. Does nothing where there is no terminal, or a shell gave this
    process a group of its own already.

    Source: setpgid(2), tcsetpgrp(3).
    """
    descriptor = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else -1
    before = os.getpgrp()
    if descriptor < 0 or before == os.getpid() or os.tcgetpgrp(descriptor) != before:
        yield
        return
    os.setpgid(0, 0)
    # A group that is not in the foreground may not take it without this.
    ignored = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(descriptor, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(descriptor, before)
        signal.signal(signal.SIGTTOU, ignored)
