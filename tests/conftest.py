"""Fixtures that every folder of tests uses."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.harness.fleet import Bench, bench

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So does a shell with what it starts in the background, and every process that a test starts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 6 * 2**30
_LONGEST = 24
"""Characters of a folder that leave room for the name of a socket in a test's own. Source: unix(7), 108 bytes."""


def _keep_folders_in_memory() -> None:
    """Temporary folders of this run, and of what it starts, are in memory where there is plenty.

    Servers and spools write to disk at every step; in memory that costs half of the system's time. Who has set
    TMPDIR has chosen, unless it is too long, and workers of a run have it from their parent.
    """
    chosen = os.environ.get("TMPDIR", "")
    if chosen and len(chosen) <= _LONGEST:
        return
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ENOUGH_BYTES
    if not has_room and not chosen:
        return
    folder = tempfile.mkdtemp(prefix="ab-", dir=_MEMORY if has_room else "/tmp")
    Path(folder).chmod(0o711)  # a sandbox of another user passes through it, as through /tmp
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


_keep_folders_in_memory()


_LONG = ("system", "contract", "faults")
_TOGETHER = "tests/system/one_fleet/"
"""Its tests share what takes long to start."""


def _part(nodeid: str) -> str:
    """What one worker runs, in order: a file, or the folder that it stands in."""
    return _TOGETHER if nodeid.startswith(_TOGETHER) else nodeid.partition("::")[0]


class _InParts(LoadFileScheduling):  # type: ignore[misc]  # xdist tells no types
    """As `--dist loadfile`, but for a folder that stays together."""

    def _split_scope(self, nodeid: str) -> str:
        return _part(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Which worker runs what."""
    return _InParts(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders whose files take minutes come first, and in step: those of one start processes, those of another wait.

    So no worker is alone with a long file at the end, and the processors have something to do all the time.
    """
    folders: dict[str, dict[str, int]] = {}
    for item in items:
        part = _part(item.nodeid)
        known = folders.setdefault(part.split("/")[1], {})
        known.setdefault(part, len(known))
    places = {
        part: number / len(known) if folder in _LONG else 1.0
        for folder, known in folders.items()
        for part, number in known.items()
    }
    items.sort(key=lambda item: places[_part(item.nodeid)])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why a test was run again: the second run passed perhaps, and the reason would be lost."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"why it was run again: {report.nodeid}")
        terminalreporter.line("\n".join(report.longreprtext.splitlines()[-40:]))


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A test that runs a command in this process leaves the next one no log of a command."""
    yield
    structlog.reset_defaults()


@pytest.fixture
async def fleet_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """The example fleet, provisioned on a server of its own; no agents run."""
    async with bench(tmp_path) as running:
        yield running
