"""Asking a process how it is, over HTTP on its unix socket or a port, with the standard library's client."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.unix_sockets import short_name

_TIMEOUT_S = 10


@dataclass(frozen=True)
class Told:
    """What was answered."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        found: dict[str, Any] = json.loads(self.text)
        return found


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        with short_name(self._path) as name:
            self.sock.connect(name)


def ask(where: Path | int, path: str, method: str = "GET", timeout_s: float = _TIMEOUT_S) -> Told:
    """One request to a socket, or to a port of loopback."""
    if isinstance(where, Path):
        connection: http.client.HTTPConnection = _Unix(where, timeout_s)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", where, timeout=timeout_s)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Told(answer.status, answer.read().decode(), headers)
    finally:
        connection.close()


async def asked(where: Path | int, path: str, method: str = "GET") -> Told:
    """`ask`, for a process that runs in the same loop."""
    return await asyncio.to_thread(ask, where, path, method)
