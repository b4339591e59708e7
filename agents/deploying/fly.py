"""Fly: one app per agent, without a public service; keys are secrets of the app, mounted as files.

Source: fly.toml, configuration reference (`files`, `checks`, `mounts`, `vm`, `restart`).
"""

from __future__ import annotations

import shlex
from typing import Any

from schemas.errors import InvalidDocument

from .envelope import AGENT_FOLDER, AUTHORITY, CREDENTIALS_FOLDER, KEYS, PUBLIC_FOLDER, STOP_S, Envelope
from .rendered import Rendered, RenderedFile, as_toml

FILE = "fly.toml"
_PUBLIC = ("agents.json", "ca.pem")
"""Files of the fleet's public folder; the second where the server speaks TLS."""
_MB_OF_A_STEP = 256


def render(envelope: Envelope) -> Rendered:
    """The app's file. The agent's folder, written beside it, is copied into the machine as it starts.

    Raises:
        InvalidDocument: more than one instance: machines of an app have the same variables, so they would share a slot.
    """
    wanted = envelope.wanted
    if wanted.instances > 1:
        raise InvalidDocument("an app runs one instance of an agent: its machines cannot be told which slot is theirs")
    tables: dict[str, Any] = {
        "app": _app(envelope),
        **({"primary_region": wanted.region} if wanted.region else {}),
        "kill_signal": "SIGTERM",
        "kill_timeout": STOP_S,
        "build": {"image": wanted.image},
        "env": envelope.environment
        | {
            "AGENTBUS_HTTP_HOST": "::",
            "AGENTBUS_HEALTH_PORT": str(wanted.health_port),
            "AGENTBUS_METRICS_PORT": str(wanted.metrics_port),
        },
        "processes": {"app": shlex.join(envelope.command)},
        "mounts": {"source": "state", "destination": envelope.state},
        "files": [*_own_files(envelope), *_secret_files(envelope)],
        "vm": [
            {"memory": f"{_memory_mb(wanted.memory_mb)}mb", "cpu_kind": "shared", "cpus": max(1, round(wanted.cpus))}
        ],
        "restart": [{"policy": "on-failure", "retries": 10}],
        "metrics": {"port": wanted.metrics_port, "path": "/metrics"},
    }
    return Rendered((RenderedFile(FILE, as_toml(tables) + _check(envelope)),), _steps(envelope))


def _app(envelope: Envelope) -> str:
    return f"agent-{envelope.name}"


def _memory_mb(wanted_mb: int) -> int:
    return -(-wanted_mb // _MB_OF_A_STEP) * _MB_OF_A_STEP


def _own_files(envelope: Envelope) -> list[dict[str, str]]:
    return [{"guest_path": f"{AGENT_FOLDER}/{path}", "local_path": f"agent/{path}"} for path in envelope.files]


def _secret_files(envelope: Envelope) -> list[dict[str, str]]:
    keys = [
        {"guest_path": f"{CREDENTIALS_FOLDER}/{name}", "secret_name": _secret(name)}
        for name in (*KEYS, *envelope.credentials)
    ]
    public = [{"guest_path": f"{PUBLIC_FOLDER}/{name}", "local_path": f"public/{name}"} for name in _public(envelope)]
    return [*keys, *public]


def _public(envelope: Envelope) -> tuple[str, ...]:
    return _PUBLIC if AUTHORITY in envelope.environment["AGENTBUS_NATS_URL"] else _PUBLIC[:1]


def _secret(name: str) -> str:
    return f"FILE_{name.upper().replace('.', '_').replace('-', '_')}"


def _check(envelope: Envelope) -> str:
    return (
        f'\n[checks.ready]\ntype = "http"\nport = {envelope.wanted.health_port}\nmethod = "get"\npath = "/health/ready"\n'
        'interval = "15s"\ntimeout = "2s"\ngrace_period = "60s"\n'
    )


def _steps(envelope: Envelope) -> tuple[str, ...]:
    app, home = _app(envelope), envelope.wanted.home
    return (
        f"fly apps create {app}",
        f"fly volumes create state --app {app} --size 1 --count {envelope.wanted.instances}",
        "# beside the file that was written:",
        f"install -d public && cp {shlex.join(str(home / 'public' / name) for name in _public(envelope))} public/",
        "# the keys, by standard input: no value is ever an argument",
        _import_keys(envelope),
        *_variable_steps(envelope),
        f"fly deploy --app {app} --config {FILE} --ha=false",
    )


def _import_keys(envelope: Envelope) -> str:
    keys = envelope.wanted.home / "credentials" / envelope.name
    pairs = " ".join(f"{_secret(name)} {shlex.quote(str(keys / name))}" for name in (*KEYS, *envelope.credentials))
    lines = """while [ $# -gt 0 ]; do printf '%s=%s\\n' "$1" "$(base64 -w0 "$2")"; shift 2; done"""
    return f"set -- {pairs}; {lines} | fly secrets import --app {_app(envelope)} --stage"


def _variable_steps(envelope: Envelope) -> tuple[str, ...]:
    if not envelope.variables:
        return ()
    return (
        f"fly secrets import --app {_app(envelope)} --stage <FILE    # {', '.join(envelope.variables)}, NAME=value",
    )
