"""A machine of one's own: a systemd unit that is installed already, or this terminal. Nothing but bounds is written."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from agents.installing.network import server_at
from bus.surroundings import DEFAULT_URL, NATS_URL

from .envelope import Envelope
from .rendered import HEADER, Rendered, RenderedFile

_EGRESS = "install -D -m 0644 /opt/agentbus/current/share/systemd/dropins/egress.conf /etc/systemd/system/{unit}.d/40-egress.conf"


def systemd(envelope: Envelope) -> Rendered:
    """A drop-in with the agent's bounds; the unit, the keys and the files are what install and provisioning made."""
    wanted = envelope.wanted
    unit = f"agent@{envelope.name}.service"
    lines = [
        "[Service]",
        f"CPUQuota={wanted.cpus * 100:g}%",
        f"MemoryHigh={wanted.memory_mb * 3 // 4}M",
        f"MemoryMax={wanted.memory_mb}M",
        *_server(wanted.nats_url),
    ]
    path = f"{unit}.d/50-deploy.conf"
    steps = (
        f"install -D -m 0644 {path} /etc/systemd/system/{path}",
        *([_EGRESS.format(unit=unit)] if envelope.speaks_outside else []),
        "systemctl daemon-reload",
        f"systemctl enable --now {unit}",
        f"systemctl status {unit}",
    )
    return Rendered((RenderedFile(path, HEADER + "\n".join(lines) + "\n"),), steps)


def _server(url: str) -> list[str]:
    """Where the server is, and that it may be spoken to; nothing where units look by themselves."""
    if url == DEFAULT_URL:
        return []
    address = server_at(urlsplit(url).hostname or "")
    return [f"Environment={NATS_URL}={url}", *([f"IPAddressAllow={address}"] if address else [])]


def local(envelope: Envelope) -> Rendered:
    """Nothing to write: the commands that run the agent alone in this terminal, with a provisioned home's keys."""
    home = envelope.wanted.home
    surroundings = {
        "AGENTBUS_NATS_URL": envelope.wanted.nats_url,
        "AGENTBUS_HOME": str(home),
        "AGENTBUS_CREDENTIALS": str(home / "credentials" / envelope.name),
        "AGENTBUS_STATE": str(home / "state" / envelope.name),
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in surroundings.items())
    live = shlex.quote(str(home / "live" / envelope.name / envelope.file))
    return Rendered((), (f"env {words} agentbus agent run {live}",))
