"""Restarting one agent: through the local supervisor's socket, or through systemd."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from schemas.errors import AgentbusError

_TIMEOUT_S = 60


class RestartFailed(AgentbusError):
    """The agent's process could not be restarted; the message is what the supervisor or systemd said."""


class Control(Protocol):
    """Whoever runs the agents' processes."""

    async def restart(self, agent: str) -> None:
        """Stop the agent in order and start it again; returns when it was started.

        Raises:
            RestartFailed: it was not.
        """


class SupervisorControl:
    """The supervisor of `agentbus up`, by its control socket: one JSON line each way."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def restart(self, agent: str) -> None:
        """See `Control.restart`."""
        answer = await ask_supervisor(self._socket, {"command": "restart", "process": f"agent-{agent}"})
        if not answer.get("ok"):
            raise RestartFailed(str(answer.get("error", "the supervisor refused")))


class SystemdControl:
    """systemd; polkit lets the applier's user restart `agent@*.service` and nothing else."""

    async def restart(self, agent: str) -> None:
        """See `Control.restart`."""
        unit = f"agent@{agent}.service"
        # An agent that failed too often counts as failed; without this systemd would refuse to start it.
        for verb in ("reset-failed", "restart"):
            code, said = await _systemctl(verb, unit)
        if code:
            raise RestartFailed(said or f"systemctl restart {unit} ended with {code}")


async def _systemctl(verb: str, unit: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "systemctl", "--no-ask-password", verb, unit,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    return process.returncode or 0, said.decode("utf-8", "replace").strip()


@contextmanager
def short_name(socket: Path) -> Iterator[str]:
    """A name of a socket that fits the kernel's 107 bytes, however deep the folder lies.

    Source: unix(7); Linux resolves /proc/self/fd/N to the open folder.
    """
    descriptor = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{socket.name}" if len(os.fsencode(socket)) > 100 else str(socket)
    finally:
        os.close(descriptor)


async def ask_supervisor(socket: Path, command: dict[str, Any], timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
    """Send one command to the supervisor and return its answer.

    Raises:
        RestartFailed: it does not run, or did not answer in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            with short_name(socket) as name:
                reader, writer = await asyncio.open_unix_connection(name)
            try:
                writer.write(json.dumps(command).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise RestartFailed(f"the supervisor does not answer on {socket}: {error or 'timeout'}") from None
    answer: dict[str, Any] = json.loads(line or b"{}")
    return answer
