"""Asking a process how it is, from another one on the same machine: with the standard library alone, and in bounded time.

told = ask(Path("/run/agentbus/agent-greeter/health.sock"), "/health/ready")
told.status, told.text
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.health.doors import SOCKET_NAME, Doors
from bus.surroundings import Home
from bus.unix_sockets import short_name
from schemas.errors import Unavailable

TIMEOUT_S: Final = 5.0
_AGAIN_S: Final = 0.02
_MOST_BYTES: Final = 8 * 1024 * 1024
RUN: Final = Path("/run/agentbus")
"""Below it each unit has a folder of its own."""
Where = Path | tuple[str, int]
"""A unix socket, or an address with a port."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was answered; header names are in small letters."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON.

        Raises:
            Unavailable: it is none.
        """
        try:
            found: dict[str, Any] = msgspec.json.decode(self.text, type=dict[str, Any])
        except msgspec.DecodeError:
            raise Unavailable("what answers there is no process of this product") from None
        return found


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        ends_s = time.monotonic() + self._timeout_s
        with short_name(self._path) as name:
            while True:
                try:
                    return self.sock.connect(name)
                except BlockingIOError:  # so many wait to be taken that the kernel lets no more wait
                    if time.monotonic() > ends_s:
                        raise TimeoutError from None
                time.sleep(_AGAIN_S)


def ask(where: Where, path: str, method: str = "GET", timeout_s: float = TIMEOUT_S) -> Told:
    """One request.

    Raises:
        TimeoutError: it takes the connection, and does not answer in time: it stands still.
        OSError: nobody listens there, or this user may not ask.
        Unavailable: what answers does not speak HTTP.
    """
    connection = (
        _Unix(where, timeout_s) if isinstance(where, Path) else http.client.HTTPConnection(*where, timeout=timeout_s)
    )
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Told(answer.status, answer.read(_MOST_BYTES).decode(errors="replace"), headers)
    except http.client.HTTPException as error:
        raise Unavailable(f"what answers there does not speak HTTP: {type(error).__name__}") from None
    finally:
        connection.close()


def doors_of(home: Home, process: str, run: Path = RUN) -> list[Path]:
    """The sockets at which a process of the fleet in `home` may be asked: that of `agentbus up`, that of its unit."""
    return [path for path in (home.health(process), run / process / SOCKET_NAME) if path.is_socket()]


def own_door(doors: Doors) -> Where | None:
    """Where the process of this container is asked, whose environment a command in it shares."""
    if doors.socket is not None:
        return doors.socket
    if doors.health_port:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(doors.host, doors.host)  # noqa: S104  told apart, not listened on
        return host, doors.health_port
    return None
