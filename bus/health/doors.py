"""Where a process tells how it is: a unix socket, a port for health, a port for metrics; each by configuration.

| from | where |
|---|---|
| `AGENTBUS_HEALTH_SOCKET`, else systemd's `$RUNTIME_DIRECTORY` + `/health.sock` | a unix socket with all pages |
| `AGENTBUS_HEALTH_PORT`, else `http.health_port` of an agent's file | a TCP port with the health pages |
| `AGENTBUS_METRICS_PORT`, else `http.metrics_port` of an agent's file | a TCP port with `/metrics` |
| `AGENTBUS_HTTP_HOST` | the address of both ports, 127.0.0.1 unless given; others are warned of |

Both ports may be the same.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from schemas.errors import InvalidDocument

SOCKET: Final = "AGENTBUS_HEALTH_SOCKET"
HEALTH_PORT: Final = "AGENTBUS_HEALTH_PORT"
METRICS_PORT: Final = "AGENTBUS_METRICS_PORT"
HOST: Final = "AGENTBUS_HTTP_HOST"
RUNTIME_DIRECTORY: Final = "RUNTIME_DIRECTORY"
SOCKET_NAME: Final = "health.sock"
LOOPBACK: Final = "127.0.0.1"
_LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Doors:
    """Where to listen. Without any, a process tells nobody."""

    socket: Path | None = None
    health_port: int | None = None
    metrics_port: int | None = None
    host: str = LOOPBACK

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Doors:
        """What the environment says.

        Raises:
            InvalidDocument: a value cannot be used; the message names its variable.
        """
        env = os.environ if environment is None else environment
        socket = env.get(SOCKET, "")
        if not socket and (folder := env.get(RUNTIME_DIRECTORY, "").split(":")[0]):
            socket = f"{folder}/{SOCKET_NAME}"
        return cls(Path(socket) if socket else None, _port(env, HEALTH_PORT), _port(env, METRICS_PORT), _host(env))

    def or_ports(self, health_port: int | None, metrics_port: int | None) -> Doors:
        """These ports where the environment names none."""
        return replace(
            self,
            health_port=health_port if self.health_port is None else self.health_port,
            metrics_port=metrics_port if self.metrics_port is None else self.metrics_port,
        )

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can ask."""
        has_port = self.health_port is not None or self.metrics_port is not None
        return has_port and not ipaddress.ip_address(self.host).is_loopback


def _port(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= _LAST_PORT):
        raise InvalidDocument(f"{name} is no port; write a number up to {_LAST_PORT}, or leave it out")
    return int(text)


def _host(env: Mapping[str, str]) -> str:
    text = env.get(HOST) or LOOPBACK
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidDocument(f"{HOST} is no address; write one such as {LOOPBACK}, or leave it out") from None
