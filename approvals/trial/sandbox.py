"""Where the files of a proposed change are tried before anything of them runs: they are code of somebody unknown.

Both sandboxes start one program (`agentbus agent check -`), which reads a tar on standard input and writes one JSON
line (`Report`) on standard output.

    LocalSandbox(command)     new namespaces, by `jail.py`; the limits alone where the kernel gives no namespaces
    UnitSandbox(socket)       a systemd unit with its own user, without network, started for each check

Guaranteed: what a tree prints, forks, kills or leaves behind changes no result but its own, and a check that ends in
any other way than with a report has failed. Not guaranteed: that a change is good. Tests come with the change and run
in one process with it; who writes both can make them pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from approvals.trial import jail
from approvals.trial.jail import EX_OSERR, Jail, Limits
from bus.unix_sockets import short_name
from schemas.errors import UNREADABLE
from schemas.text import harmless

CHECK_SOCKET = Path("/run/agentbus/check.sock")
NAMESPACES, LIMITS_ONLY, UNIT = "namespaces, no network", "limits only", "unit"
_TOO_LITTLE = "not tried: this machine gives no namespaces, and limits are not enough (require_sandbox in policy.yaml)"
_GRACE_S = 5.0
_MAX_REPORT_BYTES = 256 * 1024
_LONGEST_SUMMARY, _LONGEST_OUTPUT = 200, 16 * 1024
SYSTEM = (
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/alternatives",
)  # fmt: skip
"""What programs need of a machine; no names of users, no keys, no configuration."""
_LAYERS = ("agents", "approvals", "bus", "schemas")
_PRODUCT = Path(jail.__file__).parents[2]


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The line that the program writes. `agent` is the id in agent.yaml, empty where there is none to be read."""

    passed: bool
    summary: str
    agent: str = ""
    output: str = ""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """`summary` is one short sentence and `output` the end of what was printed; both are harmless to show."""

    passed: bool
    summary: str
    where: str
    output: str = ""


class Sandbox(Protocol):
    """Something in which a tree can be tried."""

    async def check(self, agent: str, files: bytes, *, must_confine: bool = False) -> CheckResult:
        """Load the tree in the tar `files`, which is to be that of `agent`, and run its tests.

        With `must_confine` nothing is run, and the check has failed, where there are only limits.
        """


class LocalSandbox:
    """Checks on this machine. `command` is the program with absolute path; the folders of `hidden` it never sees."""

    def __init__(
        self, command: Sequence[str], *, hidden: Sequence[Path] = (), limits: Limits | None = None,
        may_use_namespaces: bool = True,
    ) -> None:  # fmt: skip
        self._command = list(command)
        self._hidden = [str(path.resolve()) for path in hidden]
        self._limits = limits or Limits()
        self._has_namespaces: bool | None = None if may_use_namespaces else False

    async def check(self, agent: str, files: bytes, *, must_confine: bool = False) -> CheckResult:
        """See `Sandbox.check`."""
        if await self._can_confine():
            return _result(await self._run(self._jail(self._command), files), agent, NAMESPACES)
        if must_confine:
            return CheckResult(passed=False, summary=_TOO_LITTLE, where=LIMITS_ONLY)
        return _result(await self._run(self._jail(self._command), files), agent, LIMITS_ONLY)

    async def _can_confine(self) -> bool:
        """Found out once, by starting nothing in them: what the tree does cannot change the answer."""
        if self._has_namespaces is None:
            self._has_namespaces = True
            process = await self._start(self._jail([sys.executable, "-I", "-S", "-c", ""]))
            self._has_namespaces = await _end_of(process, self._limits.seconds) != EX_OSERR
        return self._has_namespaces

    def _jail(self, command: list[str]) -> Jail:
        environment = {
            "PATH": os.defpath, "LANG": "C.UTF-8", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1",  # noqa: S108  its own
            "PYTHONPATH": str(_PRODUCT),
        }  # fmt: skip
        return Jail(command, environment, readable_paths(), self._hidden, self._limits, bool(self._has_namespaces))

    async def _start(self, what: Jail) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *jail.argv(what),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env={}, start_new_session=True,
        )  # fmt: skip

    async def _run(self, what: Jail, files: bytes) -> bytes:
        process = await self._start(what)
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both were asked for")
        try:
            async with asyncio.timeout(self._limits.seconds + _GRACE_S):
                return await _exchange(process.stdout, process.stdin, files)
        except TimeoutError:
            return b""
        finally:
            await _end_of(process, 0)


async def _end_of(process: asyncio.subprocess.Process, patience_s: float) -> int:
    """Its exit status; after `patience_s` it is killed with everything in its session."""
    try:
        async with asyncio.timeout(patience_s):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return await process.wait()


class UnitSandbox:
    """Checks in a unit of systemd that `socket` starts; who may connect to it is the socket unit's to say."""

    def __init__(self, socket: Path = CHECK_SOCKET, *, seconds: float = 60.0) -> None:
        self._socket = socket
        self._seconds = seconds

    async def check(self, agent: str, files: bytes, *, must_confine: bool = False) -> CheckResult:  # noqa: ARG002
        """See `Sandbox.check`; a unit always confines."""
        try:
            async with asyncio.timeout(self._seconds + _GRACE_S):
                said = await self._run(files)
        except (OSError, TimeoutError) as error:
            summary = f"not tried: agentbus-check.socket does not answer ({error or 'timeout'})"
            return CheckResult(passed=False, summary=harmless(summary)[:_LONGEST_SUMMARY], where=UNIT)
        return _result(said, agent, UNIT)

    async def _run(self, files: bytes) -> bytes:
        with short_name(self._socket) as name:
            reader, writer = await asyncio.open_unix_connection(name)
        try:
            return await _exchange(reader, writer, files)
        finally:
            writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, files: bytes) -> bytes:
    """Send everything, then read until the other side ends or has said too much."""
    said = bytearray()
    with contextlib.suppress(ConnectionError):  # it may have ended early, with a line that says why
        writer.write(files)
        await writer.drain()
        writer.write_eof()
    with contextlib.suppress(ConnectionError):
        while len(said) <= _MAX_REPORT_BYTES and (piece := await reader.read(_MAX_REPORT_BYTES)):
            said += piece
    return bytes(said)


def _result(said: bytes, agent: str, where: str) -> CheckResult:
    """What one report means. Anything but exactly one line of that form is a failed check."""
    try:
        report = msgspec.json.decode(said, type=Report) if said.count(b"\n") == 1 else None
    except UNREADABLE:
        report = None
    if report is None:
        return CheckResult(passed=False, summary="the check ended without a result", where=where)
    output = harmless(report.output[-_LONGEST_OUTPUT:], keep="\n\t")
    passed, summary = report.passed, report.summary
    if passed and report.agent != agent:
        passed, summary = False, f"agent.yaml says that the agent is {report.agent}, not {agent}"
    return CheckResult(passed=passed, summary=harmless(summary)[:_LONGEST_SUMMARY], where=where, output=output)


def readable_paths() -> list[str]:
    """The folders and files that Python, its packages and this product need; links are followed step by step."""
    needed = [Path(path) for path in (*SYSTEM, sys.base_prefix, sys.prefix)]
    needed += [_PRODUCT / layer for layer in _LAYERS]
    step = Path(sys.executable)
    while step.is_symlink():
        step = step.parent / step.readlink()
        needed.append(step)
    return [str(path) for path in dict.fromkeys((*needed, *(path.resolve() for path in needed)))]
