"""Starts commands in new namespaces: no network, no file of the machine but its programs, the workspace to write to.

It refuses where the kernel gives no namespaces, as in units that restrict them and in some containers: there is no
way to run a model's command with limits alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agents.tools.errors import ToolAway, ToolFailed, ToolUnusable
from agents.tools.shell.output import Output
from approvals.trial import jail
from approvals.trial.jail import EX_OSERR, Jail, Limits
from approvals.trial.sandbox import SYSTEM
from schemas.text import harmless

_SHELLS: Final = (("/bin/bash", "--noprofile", "--norc"), ("/bin/sh",))
SCRIPT: Final = 'agentbus_command=$AGENTBUS_COMMAND; unset AGENTBUS_COMMAND; eval "$agentbus_command"'
"""The command is no argument: those can be read by everybody on the machine."""
_PIECE: Final = 64 * 1024
_MOST_OUTPUT: Final = 64 << 20
"""A command that prints more is ended."""
_PROBE_S, _PATIENCE_S = 20.0, 5.0
WHY_NOT: Final = (
    "bash does not run here: this system gives the agent no namespaces to confine commands in (a unit with "
    "RestrictNamespaces=, or a container). Nothing was run"
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `status` is None where it was stopped, and `why` says why."""

    status: int | None
    output: str
    why: str = ""


class CommandSandbox:
    """Runs commands one beside the other. `hidden` are folders that no command may see, wherever they lie."""

    def __init__(self, workspace: Path, limits: Limits, hidden: tuple[Path, ...] = ()) -> None:
        self._workspace = workspace
        self._limits = limits
        self._hidden = [str(path.resolve()) for path in hidden]
        self._can_confine: bool | None = None
        self._asking = asyncio.Lock()

    async def require(self) -> None:
        """Return when commands can be confined here. Found out once, by starting nothing in a sandbox.

        Raises:
            ToolFailed: they cannot; says why. ToolAway: it could not be found out now.
        """
        async with self._asking:
            if self._can_confine is None:
                try:
                    self._can_confine = await self._probed()
                except TimeoutError:
                    raise ToolAway("this machine is too busy to start commands; nothing was run, try later") from None
        if not self._can_confine:
            raise ToolFailed(WHY_NOT)

    async def _probed(self) -> bool:
        output = Output(_PIECE)
        async with self._started("true", replace(self._limits, seconds=_PROBE_S)) as process, asyncio.timeout(_PROBE_S):
            await collected(process, output)
            return await process.wait() != EX_OSERR

    async def run(self, command: str, max_output: int, *, may_write: bool = True) -> Ended:
        """Run `command` with the shell, for at most the limits' `seconds`; everything it started ends with it.

        One that may not write can remove files all the same.

        Raises:
            ToolFailed: it cannot be confined here, so it was not run. ToolAway: nor can it be started now.
        """
        await self.require()
        output = Output(max_output)
        limits = self._limits if may_write else replace(self._limits, file_bytes=0)
        async with self._started(command, limits) as process:
            try:
                async with asyncio.timeout(self._limits.seconds):
                    is_whole = await collected(process, output)
                    status = await process.wait() if is_whole else None
            except TimeoutError:
                return Ended(None, output.text(), f"it did not end within {self._limits.seconds:g} s")
        why = "" if is_whole else f"it printed more than {_MOST_OUTPUT >> 20} MiB"
        return Ended(status, output.text(), why)

    @asynccontextmanager
    async def _started(self, command: str, limits: Limits) -> AsyncIterator[asyncio.subprocess.Process]:
        """The process; on leaving it has ended, with everything that it started."""
        what = Jail(
            [*shell(), "-c", SCRIPT], _environment(command), list(SYSTEM), self._hidden, limits,
            namespaces=True, workspace=str(self._workspace),
        )  # fmt: skip
        process = await _jailed()
        try:
            if process.stdin is None:
                raise AssertionError("it was asked for")
            with contextlib.suppress(ConnectionError):
                process.stdin.write(what.to_json().encode())
                process.stdin.write_eof()
            yield process
        finally:
            await ended(process)


async def _jailed() -> asyncio.subprocess.Process:
    """The program that makes the sandbox; what is to run in it, it reads from its input."""
    try:
        return await asyncio.create_subprocess_exec(
            *jail.argv_of_stdin(), "-",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={}, start_new_session=True,
        )  # fmt: skip
    except OSError as error:  # no processes, or no memory, left
        raise ToolAway(f"commands cannot be started now: {error.strerror}; nothing was run, try later") from None


async def ended(process: asyncio.subprocess.Process) -> None:
    """Kill the command, and wait until nothing of it is left; canceling this does not stop it."""
    ending = asyncio.ensure_future(_end(process))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def collected(process: asyncio.subprocess.Process, output: Output) -> bool:
    """Read what it prints to the end; false when that was too much."""
    if process.stdout is None:
        raise AssertionError("it was asked for")
    while piece := await process.stdout.read(_PIECE):
        output.add(piece)
        if output.size > _MOST_OUTPUT:
            return False
    return True


def shell() -> tuple[str, ...]:
    found = next((shell for shell in _SHELLS if Path(shell[0]).exists()), None)
    if found is None:
        raise ToolUnusable("tools.bash: this machine has neither /bin/bash nor /bin/sh")
    return found


def _environment(command: str) -> dict[str, str]:
    return {
        "PATH": os.defpath, "LANG": "C.UTF-8", "HOME": jail.WORKSPACE, "TMPDIR": "/tmp",  # noqa: S108  its own
        "AGENTBUS_COMMAND": command,
    }  # fmt: skip


def told(ended: Ended) -> str:
    """The end of a command for a model: what it printed, and how it ended."""
    output = harmless(ended.output, keep="\n\t").rstrip("\n")
    if ended.status is None:
        return f"{output}\n[stopped: {ended.why}; what it did until then is done]".lstrip("\n")
    end = "" if ended.status == 0 else f"\n[exit status {ended.status}]"
    return f"{output}{end}".lstrip("\n") or "(no output)"
