"""Opens the doors of a process and answers there until it ends."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from bus import unix_sockets
from bus.health.doors import HOST, Doors
from bus.health.errors import NoListener
from bus.health.http import Page, Responder
from bus.health.pages import HEALTH_PATHS, METRICS_PATH

_log = structlog.get_logger("health")
_MODE: Final = 0o660
_BACKLOG: Final = 64


class Listener:
    """Every door of one process. Open it with `start`, end it with `close`; both once."""

    def __init__(self, doors: Doors, pages: Mapping[str, Page]) -> None:
        self._doors = doors
        self._pages = pages
        self._responders: list[Responder] = []
        self._made: tuple[int, int] | None = None
        """What the socket's file is known by, so that another process's is not removed."""
        self.ports: dict[str, int] = {}
        """By path, the ports that answer; of use where the configuration says 0: any that is free."""

    async def start(self) -> None:
        """Answer from now on.

        Raises:
            NoListener: a door cannot be opened; those before it are closed again.
        """
        try:
            if self._doors.socket is not None:
                await self._answer(self._unix(self._doors.socket), self._pages)
            for port, paths in self._by_port().items():
                await self._open_port(port, paths)
        except BaseException:
            await self.close()
            raise
        if self._doors.is_exposed:
            _log.warning("health.exposed", host=self._doors.host, advice=f"anybody who reaches it may ask; see {HOST}")

    async def close(self) -> None:
        """Answer no more."""
        for responder in self._responders:
            await responder.close()
        self._responders.clear()
        if self._doors.socket is not None and self._made is not None:
            unix_sockets.remove(self._doors.socket, self._made)

    def _by_port(self) -> dict[int, set[str]]:
        wanted: dict[int, set[str]] = {}
        for port, paths in ((self._doors.health_port, HEALTH_PATHS), (self._doors.metrics_port, (METRICS_PATH,))):
            if port is not None:
                wanted.setdefault(port, set()).update(paths)
        return wanted

    def _unix(self, path: Path) -> socket.socket:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = unix_sockets.listening(path, _MODE)
        except OSError as error:
            raise NoListener(f"health cannot be told at {path}: {error.strerror}; is the folder writable?") from None
        self._made = unix_sockets.identity(path)
        return made

    async def _open_port(self, port: int, paths: set[str]) -> None:
        listening = self._tcp(port)
        self.ports |= dict.fromkeys(paths, listening.getsockname()[1])
        _log.info("health.listening", host=self._doors.host, port=listening.getsockname()[1], paths=sorted(paths))
        await self._answer(listening, {path: page for path, page in self._pages.items() if path in paths})

    def _tcp(self, port: int) -> socket.socket:
        host = self._doors.host
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setblocking(False)
            made.bind((host, port))
            made.listen(_BACKLOG)
        except OSError as error:
            made.close()
            raise NoListener(
                f"health cannot be told on {host}:{port}: {error.strerror}; stop what listens there, or name another port"
            ) from None
        return made

    async def _answer(self, listening: socket.socket, pages: Mapping[str, Page]) -> None:
        responder = Responder(pages)
        with contextlib.ExitStack() as stack:
            stack.callback(listening.close)
            await responder.start(listening)
            stack.pop_all()
        self._responders.append(responder)
