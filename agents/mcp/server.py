"""One server of an agent, kept there: connected, listed, and connected again when it goes.

| state | what holds |
|---|---|
| starting | the first connection is being made; nothing is known of its tools |
| up | calls go to it |
| down | it went, or never came; a call is told so at once, and the next try comes by itself |
| closed | nothing of it is left |

What is known of its tools stays while it is down. A server that comes up begins its times of waiting anew, once it has
stayed a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import structlog

from schemas.a2a import JsonObject
from schemas.agent import McpServer

from . import sdk
from .child import Child
from .config import reached_by
from .errors import McpDown, ToolChanged
from .listing import Listed, listed
from .pins import Pins, Seen
from .problems import why

if TYPE_CHECKING:
    from .connection import Connection

State = Literal["starting", "up", "down", "closed"]
_log = structlog.get_logger("mcp")


@dataclass(frozen=True, slots=True)
class Times:
    """How patient one is with a server, in seconds."""

    start_s: float = 30.0
    """From its start to the list of its tools."""
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    """Before it is connected again: doubled each time."""
    steady_s: float = 60.0
    """A server that stayed so long is waited for as at first."""
    list_ttl_s: float = 3600.0
    """How long the list of its tools is believed, unless it says that it has changed."""
    relist_s: float = 5.0
    """A server that says so again and again is asked no more often."""


DEFAULT_TIMES: Final = Times()


@dataclass(frozen=True, slots=True)
class Around:
    """What a server of an agent has around it: its folder, what was seen of it, and who is told what becomes of it."""

    folder: Path
    seen: Seen
    told: Told
    times: Times = DEFAULT_TIMES


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told what becomes of a server."""

    on_up: Callable[[Server], None]
    on_down: Callable[[Server], None]
    on_changed: Callable[[Server, Listed], None]
    """A tool is not offered any more: its definition is not the one that was allowed."""


class Server:
    """Runs from `start` to `close`, both called in one task."""

    def __init__(self, name: str, spec: McpServer, around: Around) -> None:
        self.name = name
        self.spec = spec
        self.state: State = "starting"
        self.problem = "it is being started"
        """Why it is not up, for people and models: harmless, without secrets."""
        self.listed: tuple[Listed, ...] = ()
        self.version = ""
        """Of the protocol, as agreed with it the last time."""
        self.child: Child | None = None
        """The one that was started last."""
        self.last_words = ""
        """The last that the last child said on its standard error, for people."""
        self._folder, self._told, self._times = around.folder, around.told, around.times
        self._seen = around.seen
        self._pins = Pins(spec.pins, around.seen.of(name, spec))
        self._connection: Connection | None = None
        self._settled = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._keeping = asyncio.create_task(self._keep(), name=f"MCP server {self.name}")

    async def close(self) -> None:
        """End the connection and the child, whatever they are doing."""
        self.state, self.problem = "closed", "it is closed"
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        self._settled.set()

    async def settled(self) -> None:
        """Return when it was up for the first time, or could not be."""
        await self._settled.wait()

    async def call(self, tool: str, arguments: JsonObject) -> str:
        """What the tool gave, as text; no longer than the server's `timeout_s`. Cancelling it tells the server.

        Raises:
            McpError: for the model.
        """
        connection = self._connection
        if connection is None or self.state != "up":
            raise McpDown(f"the server {self.name} is not there now; do without it, or try again later")
        if not any(one.tool == tool and one.is_offered for one in self.listed):
            raise ToolChanged(f"{self.name} has no tool {tool!r} any more, or another one by that name")
        try:
            return await connection.call(tool, arguments, self.spec.timeout_s)
        except McpDown:
            self.state = "down" if self.state == "up" else self.state  # the next call need not find out by itself
            raise

    # -- how it is kept ---------------------------------------------------------------------------------

    async def _keep(self) -> None:
        times = self._times
        wait_s = times.first_wait_s
        while True:
            began_s = time.monotonic()
            await self._once()
            if time.monotonic() - began_s >= times.steady_s:
                wait_s = times.first_wait_s
            _log.warning(
                "mcp.server_down", server=self.name, problem=self.problem, last_words=self.last_words, again_in_s=wait_s
            )
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, times.longest_wait_s)

    async def _once(self) -> None:
        """One connection from its begin to its end. Whatever ends it is this server's problem and nobody else's."""
        living = asyncio.create_task(self._live(), name=f"connection to MCP server {self.name}")
        try:
            await asyncio.wait({living})
        finally:
            if not living.done():
                living.cancel()
                await asyncio.wait({living})
            self._down(None if living.cancelled() else living.exception())

    async def _live(self) -> None:
        await sdk.load()
        from .connection import connected

        reached = reached_by(self.name, self.spec, self._folder)  # each time: secrets change
        async with (
            asyncio.timeout(self._times.start_s) as starting,
            connected(self.name, reached, self.spec.timeout_s, self._began) as connection,
        ):
            await self._list(connection)
            starting.reschedule(None)
            self._up(connection)
            await self._stay(connection)

    async def _stay(self, connection: Connection) -> None:
        """Until it is gone. Its tools are listed again when the list is old, or it says that they have changed."""
        listed_s = time.monotonic()
        due_s = listed_s + self._times.list_ttl_s
        while not connection.news.is_ended:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connection.news.event.wait(), max(0.0, due_s - time.monotonic()))
                connection.news.event.clear()
                due_s = min(due_s, listed_s + self._times.relist_s)
            if time.monotonic() >= due_s and not connection.news.is_ended:
                await self._list(connection)
                listed_s = time.monotonic()
                due_s = listed_s + self._times.list_ttl_s

    async def _list(self, connection: Connection) -> None:
        definitions = await connection.definitions()
        before = {one.tool for one in self.listed if one.is_changed}
        self.listed = listed(self.name, self.spec, definitions, self._pins)
        await self._seen.keep()
        for one in self.listed:
            if one.is_allowed and one.problem:
                _log.warning("mcp.tool_left_out", server=self.name, tool=one.name, problem=one.problem)
            if one.is_changed and one.tool not in before:
                self._told.on_changed(self, one)

    # -- what is known of it ----------------------------------------------------------------------------

    def _began(self, child: Child) -> None:
        self.child = child
        _log.info("mcp.child_started", server=self.name, pid=child.pid)

    def _up(self, connection: Connection) -> None:
        self._connection, self.version = connection, connection.version
        self.state, self.problem = "up", ""
        _log.info("mcp.server_up", server=self.name, version=self.version, tools=len(self.offered))
        self._told.on_up(self)
        self._settled.set()

    def _down(self, error: BaseException | None) -> None:
        was_up, self._connection = self._connection is not None, None
        if self.state == "closed":
            return
        self.state, self.problem = "down", "its connection ended" if error is None else why(error)
        self.last_words = self.child.last_words if self.child else ""
        if was_up or not self._settled.is_set():
            self._told.on_down(self)
        self._settled.set()

    @property
    def offered(self) -> tuple[Listed, ...]:
        """The tools that a model gets, also while the server is down."""
        return tuple(one for one in self.listed if one.is_offered)
