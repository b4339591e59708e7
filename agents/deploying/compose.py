"""Compose: one service per agent, on a network that the server is on too.

Compose gives secrets and files to a container as they are on its host, so they have to be readable by the user of the
image (`steps`).

Source: the Compose Specification.
"""

from __future__ import annotations

import shlex
from typing import Any

from .envelope import AGENT_FOLDER, CREDENTIALS_FOLDER, KEYS, PUBLIC_FOLDER, STOP_S, TMP_FOLDER, TMP_MB, USER, Envelope
from .rendered import Rendered, RenderedFile, as_yaml

FILE = "compose.yaml"
_NETWORK = "agentbus"
_LOG = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def render(envelope: Envelope) -> Rendered:
    """The service's file, and the agent's own files beside it."""
    document: dict[str, Any] = {
        "name": f"agent-{envelope.name}",
        "services": {f"{envelope.name}-{slot}": _service(envelope, slot) for slot in range(envelope.wanted.instances)},
        "secrets": {_secret(name): {"file": f"./credentials/{name}"} for name in (*KEYS, *envelope.credentials)},
        "volumes": {f"state-{slot}": {} for slot in range(envelope.wanted.instances)},
        "networks": {_NETWORK: {"external": True}},
    }
    return Rendered((RenderedFile(FILE, as_yaml(document)),), _steps(envelope))


def _service(envelope: Envelope, slot: int) -> dict[str, Any]:
    wanted = envelope.wanted
    return {
        "image": wanted.image,
        "command": list(envelope.command),
        "user": f"{USER}:{USER}",
        "init": False,  # the process ends in order by itself, and its children with it
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "environment": envelope.environment
        | {"AGENTBUS_SLOT": str(slot), "AGENTBUS_HEALTH_SOCKET": f"{TMP_FOLDER}/health.sock"}
        | {name: _variable(name, is_optional=is_optional) for name, is_optional in envelope.variables.items()},
        "secrets": [
            {"source": _secret(name), "target": f"{CREDENTIALS_FOLDER}/{name}", "mode": "0400"}
            for name in (*KEYS, *envelope.credentials)
        ],
        "volumes": [
            {"type": "bind", "source": "./agent", "target": AGENT_FOLDER, "read_only": True},
            {"type": "bind", "source": "./public", "target": PUBLIC_FOLDER, "read_only": True},
            {"type": "volume", "source": f"state-{slot}", "target": envelope.state},
        ],
        "tmpfs": [f"{TMP_FOLDER}:size={TMP_MB}m,mode=1777,nosuid,nodev,noexec"],
        "networks": [_NETWORK],
        "restart": "unless-stopped",  # `on-failure` would leave it down after a restart of the machine
        "stop_grace_period": f"{STOP_S}s",
        "healthcheck": {
            "test": ["CMD", "agentbus", "agent", "health", envelope.name],
            "interval": "30s",
            "timeout": "5s",
            "start_period": "60s",
            "retries": 3,
        },
        "deploy": {
            "resources": {"limits": {"cpus": f"{wanted.cpus:g}", "memory": f"{wanted.memory_mb}M", "pids": 256}}
        },
        "logging": _LOG,
    }


def _secret(name: str) -> str:
    return name.replace(".", "-")


def _variable(name: str, *, is_optional: bool) -> str:
    """A value of the one who starts it, named and never written: compose refuses to start without one that it needs."""
    return f"${{{name}:-}}" if is_optional else f"${{{name}:?the agent's file takes a secret from it}}"


def _steps(envelope: Envelope) -> tuple[str, ...]:
    home = envelope.wanted.home
    keys = shlex.quote(str(home / "credentials" / envelope.name))
    return (
        f"docker network inspect {_NETWORK} || docker network create {_NETWORK}",
        "# beside the file that was written:",
        f"cp -r {shlex.quote(str(home / 'public'))} public",
        f"install -d -m 0700 credentials && cp {keys}/* credentials/ && chown -R {USER}:{USER} credentials",
        "docker compose config --quiet",
        "docker compose up --detach --wait",
    )
