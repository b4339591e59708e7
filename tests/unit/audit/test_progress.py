"""The bar of a long reading: on a terminal, with rate and remaining time, and gone at the end."""

from __future__ import annotations

import os
import sys

import pytest

from agents.cli.audit.progress import Progress, Watch


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the stream in a second: half a bar, the rate, a second left; then the line is empty again."""
    leader, follower = os.openpty()
    clock = Clock()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = Progress(1, 100, clock)
        progress.at(10)  # too soon to be worth a line
        clock.at = 1.0
        progress.at(50)
        progress.end()
        shown = ""
        while not shown.endswith("\x1b[K"):  # a terminal hands over what it has, which may be a part
            shown += os.read(leader, 1000).decode()
    os.close(leader)
    assert shown == f"\r[{'#' * 15}{'.' * 15}] 50 of 100, 50/s, 1 s left \r\x1b[K"


def test_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Where standard error is no terminal, nothing is written to it; an empty stream is no division by zero."""
    clock = Clock()
    progress = Progress(1, 0, clock)
    clock.at = 10.0
    progress.at(1)
    progress.end()
    assert capsys.readouterr().err == ""


def test_a_reading_that_says_itself_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Its rate counts from where it began; before it began there is nothing to end; nobody looks here either."""
    watch = Watch()
    watch.end()
    for reached in (40, 50, 100):
        watch(reached, 100)
    watch.end()
    assert capsys.readouterr().err == ""
