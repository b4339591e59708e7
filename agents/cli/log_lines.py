"""Where the lines of a log go: a service's and a command's."""

from __future__ import annotations

import contextlib
import sys

import structlog


class Lines(structlog.PrintLogger):
    """Standard output, or the file that is given. A line that it does not take is lost.

    A full disk must not stop the work that the log tells of.
    """

    def msg(self, message: str) -> None:
        """Print one line. Never raises for the disk's sake."""
        with contextlib.suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def lines(*_names: object) -> Lines:
    """For structlog's `logger_factory`."""
    return Lines()


def error_lines(*_names: object) -> Lines:
    """The same, on what is standard error at that moment: who replaces it may close it again."""
    return Lines(sys.stderr)
