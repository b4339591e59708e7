"""The supervisor of `agentbus up`: server, approval service, applier and agents, and a control socket.

Order: the server first; then everything else together, since each process waits for the server by
itself. At the end the agents stop first and the server last, so that every trail can be flushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from agents.supervisor.child import BURST, BURST_WINDOW_S, Child, ChildFailed, Deaths
from agents.supervisor.fleet_processes import commands, surroundings_of_all
from agents.supervisor.nursery import Nursery
from approvals.applying.control import process_of
from approvals.applying.provisioned import note_by_hand
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.provision.members import server_url
from bus.provision.provision import put_in_force, start_server
from bus.server import LocalServer
from bus.surroundings import Home
from bus.unix_sockets import short_name
from schemas import names
from schemas.errors import AgentbusError
from schemas.fleet import Fleet

_log = structlog.get_logger("supervisor")

OnChange = Callable[[str, str], None]
"""(process name, new state)"""


_START_S = 30.0
_ACTIONS: dict[str, Callable[[Child, float], Awaitable[None]]] = {
    "restart": Child.restart,
    "start-process": Child.start,
    "stop-process": lambda child, _: child.stop(),
}
"""Command to what is done to a process; a start may take so many seconds."""


class AlreadyRunning(AgentbusError):
    """Another supervisor serves this home."""


class Supervisor:
    """Runs the fleet of one home."""

    def __init__(self, home: Home, fleet: Fleet, on_change: OnChange) -> None:
        self.home = home
        self.fleet = fleet
        self._report = on_change
        self._children: dict[str, Child] = {}
        self._nursery = Nursery(surroundings_of_all())
        self._server: LocalServer | None = None
        self._server_restarts = 0
        self._control: asyncio.Server | None = None
        self._is_up = False
        """Everything was ready once, since the start."""
        self.stop_asked = asyncio.Event()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return server_url(self.fleet, self.home)

    async def start(self) -> None:
        """Start everything and return when all of it is ready.

        Raises:
            AlreadyRunning, NoServer, NotProvisioned, ChildFailed: what was started is stopped again.
        """
        await self._open_socket()
        try:
            await self._nursery.open()
            self._report("nats-server", "starting")
            self._server = await start_server(self.fleet, self.home)
            self._report("nats-server", "ready")
            for stage in commands(self.fleet, self.home, self.url):
                children = [Child(command, self._on_child, self._nursery.begin) for command in stage]
                self._children |= {child.command.name: child for child in children}
                await _all(*(child.start() for child in children))
        except BaseException:
            await self.stop()
            raise
        self._is_up = True

    async def stop(self) -> None:
        """Agents first, then the services, then who seals what all of them wrote, then the server."""
        witnesses = set(self.fleet.witnesses)
        turns: dict[int, list[Child]] = {}
        for name, child in self._children.items():
            turn = 0 if name.startswith("agent-") else 2 if name == names.SEALER else 3 if name in witnesses else 1
            turns.setdefault(turn, []).append(child)
        for turn in sorted(turns):
            await asyncio.gather(*(child.stop() for child in turns[turn]))
        await self._nursery.close()
        if self._server:
            self._report("nats-server", "stopping")
            await self._server.stop()
            self._report("nats-server", "stopped")
        if self._control:
            self._control.close()
            self.home.socket.unlink(missing_ok=True)

    def _on_child(self, child: Child) -> None:
        self._report(child.command.name, child.state)

    # -- control -----------------------------------------------------------------------------------------

    async def _open_socket(self) -> None:
        path = self.home.socket
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with short_name(path) as name:
            with contextlib.suppress(OSError):
                _reader, writer = await asyncio.open_unix_connection(name)
                writer.close()
                raise AlreadyRunning(
                    f"a fleet runs in {self.home.root} already; see `agentbus status`, or `agentbus down`"
                )
            path.unlink(missing_ok=True)
            self._control = await asyncio.start_unix_server(self._on_client, name)
        path.chmod(0o600)

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), 5)
            answer = await self._obey(json.loads(line)) if line.strip() else {}
        except AgentbusError as error:  # first: an InvalidDocument is a ValueError too
            answer = {"ok": False, "error": str(error)}
        except (ValueError, TimeoutError):
            answer = {"ok": False, "error": "send one line of JSON with a command"}
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        name = str(command.get("command"))
        if name == "status":
            return {"ok": True, "url": self.url, "is_up": self._is_up, "processes": self.processes()}
        if name == "stop":
            self.stop_asked.set()
            return {"ok": True}
        if self.stop_asked.is_set():
            return {"ok": False, "error": "the fleet is stopping"}
        if name == "reprovision":
            await self._reprovision()
            return {"ok": True}
        if name in _ACTIONS:
            return await self._do(_ACTIONS[name], command)
        return {"ok": False, "error": f"known commands: status, stop, reprovision, {', '.join(_ACTIONS)}"}

    async def _do(self, action: Callable[[Child, float], Awaitable[None]], command: dict[str, Any]) -> dict[str, Any]:
        children = self._named(command)
        if not children:
            wanted = command.get("process") or command.get("agent")
            return {"ok": False, "error": f"there is no process {wanted!r}; see agentbus status"}
        for child in children:  # one after the other, so that another instance answers meanwhile
            await action(child, float(command.get("timeout_s", _START_S)))
        return {"ok": True, "state": children[-1].state}

    def _named(self, command: dict[str, Any]) -> list[Child]:
        """One process by its name, or all instances of an agent."""
        if "agent" not in command:
            child = self._children.get(str(command.get("process")))
            return [child] if child else []
        agent = str(command["agent"])
        role = self.fleet.agents.get(agent)
        return [self._children[process_of(agent, slot)] for slot in range(role.instances)] if role else []

    async def _reprovision(self) -> None:
        """Do what the repository's fleet file says now: permissions, and how many instances each agent has."""
        fleet = rules_in_force(Git(self.home.repository)).fleet
        if self._server is not None:
            await put_in_force(fleet, self.home, (self._server,))
        self.fleet = fleet
        note_by_hand(self.home, time.time_ns())  # the applier asks for what people approved, a person for the rest
        wanted = {command.name: command for stage in commands(fleet, self.home, self.url) for command in stage}
        for name in [name for name in self._children if name not in wanted]:
            await self._children.pop(name).stop()
        fresh = [
            Child(command, self._on_child, self._nursery.begin)
            for name, command in wanted.items()
            if name not in self._children
        ]
        self._children |= {child.command.name: child for child in fresh}
        await _all(*(child.start() for child in fresh))

    def processes(self) -> list[dict[str, Any]]:
        """Name, state, pid, restarts and own words of every process."""
        server = {
            "name": "nats-server",
            "state": "ready",
            "pid": 0,
            "restarts": self._server_restarts,
            "status": self.url,
        }
        if self._server:
            server["pid"] = self._server.process.pid
            server["state"] = "ready" if self._server.process.returncode is None else "failed"
        return [server] + [
            {
                "name": child.command.name,
                "state": child.state,
                "pid": child.pid,
                "restarts": child.restarts,
                "status": child.status,
            }
            for child in self._children.values()
        ]

    async def wait(self) -> None:
        """Until told to stop. A server that ends by itself is started again; everybody reconnects to it.

        Raises:
            ChildFailed: the server ended too often.
        """
        asked = asyncio.create_task(self.stop_asked.wait())
        deaths = Deaths()
        while self._server is not None:
            ended = asyncio.create_task(self._server.process.wait())
            await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                ended.cancel()
                return
            if deaths.another_is_too_many():
                log = self.home.root / "log" / "nats-server.log"
                raise ChildFailed(f"nats-server ended {BURST} times within {BURST_WINDOW_S:g} s; see {log}")
            self._server_restarts += 1
            self._report("nats-server", "restarting")
            await self._server.start()
            self._report("nats-server", "ready")


async def _all(*starting: Any) -> None:
    """Await all; the first failure is raised after every one of them has ended."""
    results = await asyncio.gather(*starting, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
