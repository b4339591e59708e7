"""Restarting one agent's processes, and putting permissions in force; here through the local supervisor's socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Protocol

from bus.unix_sockets import short_name
from schemas.errors import AgentbusError

_TIMEOUT_S = 60


class RestartFailed(AgentbusError):
    """The agent's process could not be restarted; the message is what the supervisor or systemd said."""


class Control(Protocol):
    """Whoever runs the agents' processes. Each method raises RestartFailed where it could not be done."""

    async def restart(self, agent: str, slot: int, ready_within_s: float) -> None:
        """Stop one instance in order and start it again; returns when it was started and said that it is ready."""

    async def stop(self, agent: str, slot: int) -> None:
        """Stop one instance in order; it is not started again by itself."""

    async def pid(self, agent: str, slot: int) -> int:
        """The process of an instance, 0 when none runs."""

    async def reprovision(self) -> None:
        """Put in force what the fleet file in the repository says now: permissions, and the number of instances."""


def process_of(agent: str, slot: int) -> str:
    """What the supervisor calls an instance."""
    return f"agent-{agent}" + (f".{slot}" if slot else "")


class SupervisorControl:
    """The supervisor of `agentbus up`, by its control socket: one JSON line each way."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def restart(self, agent: str, slot: int, ready_within_s: float) -> None:
        """See `Control.restart`."""
        await self._tell({"command": "restart", "process": process_of(agent, slot), "timeout_s": ready_within_s})

    async def stop(self, agent: str, slot: int) -> None:
        """See `Control.stop`."""
        await self._tell({"command": "stop-process", "process": process_of(agent, slot)})

    async def pid(self, agent: str, slot: int) -> int:
        """See `Control.pid`."""
        answer = await self._tell({"command": "status"})
        name = process_of(agent, slot)
        return next((int(row["pid"]) for row in answer["processes"] if row["name"] == name), 0)

    async def reprovision(self) -> None:
        """See `Control.reprovision`."""
        await self._tell({"command": "reprovision"})

    async def _tell(self, command: dict[str, Any]) -> dict[str, Any]:
        answer = await ask_supervisor(self._socket, command)
        if not answer.get("ok"):
            raise RestartFailed(str(answer.get("error", "the supervisor refused")))
        return answer


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
