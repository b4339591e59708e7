"""Tries the files of an agent's folder: does it load, do its tests pass? The program that sandboxes start.

It runs code that nobody has read yet, each time in a process of its own (`contained`), and tells what became of it
in one line. Where it runs decides what that code can reach.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
import unittest
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from agents.runtime.loading.contained import Ended, contained, guard_this_process
from agents.runtime.loading.load import load_agent
from approvals.trial.sandbox import Report
from approvals.trial.tree_tar import MAX_BYTES, unpack
from schemas.errors import UNREADABLE, InvalidDocument

_PATTERN = "test_*.py"
_MAX_ARCHIVE_BYTES = 2 * MAX_BYTES
_NAMED = 3


class Loading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer of the process that loads the agent."""

    agent: str = ""
    problem: str = ""


class TestRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer of the process that runs the tests."""

    passed: int
    skipped: int
    failed: tuple[str, ...]
    runner: str


def check_from_stdin(seconds: float) -> None:
    """Read a tar from standard input and write a `Report` as one line to standard output."""
    guard_this_process()
    archive = sys.stdin.buffer.read(_MAX_ARCHIVE_BYTES + 1)
    report = check(archive, seconds)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def check(archive: bytes, seconds: float) -> Report:
    """Unpack, load, test, within `seconds` altogether; a problem of any kind is a failed report."""
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="agentbus-check-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        try:
            unpack(archive, folder)
        except InvalidDocument as error:
            return Report(passed=False, summary=str(error))
        return _checked(folder, until)


def _checked(folder: Path, until: float) -> Report:
    loaded = contained(partial(_load, folder), until)
    loading = _answer(loaded, Loading)
    if loading is None or loading.problem:
        why = loading.problem if loading else f"loading the agent {_how(loaded)}"
        return _report(loaded, why, passed=False)
    if not any((folder / "tests").rglob(_PATTERN)):
        return _report(loaded, "valid; it has no tests", passed=True, agent=loading.agent)
    began = time.monotonic()
    tested = contained(partial(_run_tests, folder), until)
    run = _answer(tested, TestRun)
    if run is None:
        return _report(tested, f"the tests {_how(tested)}", passed=False, agent=loading.agent)
    passed = run.passed > 0 and not run.failed
    return _report(tested, _told(run, time.monotonic() - began), passed=passed, agent=loading.agent)


def _report(ended: Ended, summary: str, *, passed: bool, agent: str = "") -> Report:
    output = ended.printed.decode("utf-8", "replace")
    return Report(passed=passed, summary=" ".join(summary.split()), agent=agent, output=output)


def _answer[T](ended: Ended, kind: type[T]) -> T | None:
    """What it answered, if it came to its end by itself."""
    if ended.problem or ended.status:
        return None
    try:
        return msgspec.json.decode(ended.answer, type=kind)
    except UNREADABLE:
        return None


def _how(ended: Ended) -> str:
    if ended.problem:
        return ended.problem
    if ended.status < 0:
        return f"ended by signal {-ended.status}"
    said = ended.printed.decode("utf-8", "replace").strip().splitlines()
    return f"ended with status {ended.status} before there was a result" + (f"; it printed: {said[-1]}" if said else "")


def _told(run: TestRun, seconds: float) -> str:
    if run.failed:
        more = ", …" if len(run.failed) > _NAMED else ""
        total = run.passed + len(run.failed)
        return f"{len(run.failed)} of {total} tests failed: {', '.join(run.failed[:_NAMED])}{more}"
    if not run.passed:
        return f"tests/ has {_PATTERN}, but {run.runner} ran no test in it"
    skipped = f", {run.skipped} skipped" if run.skipped else ""
    return f"valid; {run.passed} test{'s' * (run.passed != 1)} passed{skipped} in {seconds:.1f} s"


def _load(folder: Path) -> bytes:
    try:
        return msgspec.json.encode(Loading(agent=load_agent(folder).id))
    except InvalidDocument as error:
        return msgspec.json.encode(Loading(problem=str(error).replace(f"{folder}/", "")))


def _run_tests(folder: Path) -> bytes:
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    runner = _with_pytest if importlib.util.find_spec("pytest") else _with_unittest
    return msgspec.json.encode(runner(folder))


class _Counts:
    """A plugin of pytest that counts. Source: pytest's hooks `pytest_runtest_logreport`, `pytest_collectreport`,
    `pytest_sessionfinish`."""

    def __init__(self) -> None:
        self.passed = self.skipped = 0
        self.failed: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed[report.nodeid] = None
        elif report.skipped:
            self.skipped += 1
        elif report.when == "call":
            self.passed += 1

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed[report.nodeid] = None

    def pytest_sessionfinish(self, session: Any) -> None:
        """Hypothesis' plugin imports all of Hypothesis for its summary: a second of each check that has no use for it."""
        plugins = session.config.pluginmanager
        if "hypothesis" not in sys.modules and plugins.has_plugin("hypothesispytest"):
            plugins.unregister(name="hypothesispytest")


def _with_pytest(folder: Path) -> TestRun:
    import pytest

    counts = _Counts()
    options = ["-q", "--rootdir", str(folder), str(folder / "tests")]
    for unwanted in ("cacheprovider", "rerunfailures"):  # there is nowhere to write, and no socket to be had
        options += ["-p", f"no:{unwanted}"]
    if importlib.util.find_spec("pytest_asyncio"):
        options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function", *options]
    code = int(pytest.main(options, plugins=[counts]))
    if code not in {0, 1, 5} and not counts.failed:  # interrupted, misused, or broken by the tests themselves
        counts.failed[f"pytest ended with {code}"] = None
    return TestRun(counts.passed, counts.skipped, tuple(counts.failed), "pytest")


def _with_unittest(folder: Path) -> TestRun:
    tests = str(folder / "tests")
    suite = unittest.TestLoader().discover(tests, _PATTERN, top_level_dir=tests)
    result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
    failed = [str(test) for test, _ in (*result.failures, *result.errors)]
    failed += [str(test) for test in result.unexpectedSuccesses]
    passed = result.testsRun - len(failed) - len(result.skipped)
    return TestRun(max(0, passed), len(result.skipped), tuple(failed), "unittest (pytest is not installed)")
