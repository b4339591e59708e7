"""Where an agent can be put."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import compose, fly, kubernetes, machine
from .envelope import Envelope
from .rendered import Rendered


@dataclass(frozen=True, slots=True)
class Target:
    """A platform. `takes_files`: whether the agent's own files are written beside what is rendered."""

    meaning: str
    render: Callable[[Envelope], Rendered]
    takes_files: bool = False


TARGETS: Mapping[str, Target] = {
    "systemd": Target("a drop-in for the agent's unit", machine.systemd),
    "local": Target("the command that runs it in this terminal", machine.local),
    "k8s": Target("objects for Kubernetes", kubernetes.render),
    "compose": Target("a Compose file", compose.render, takes_files=True),
    "fly": Target("a fly.toml", fly.render, takes_files=True),
}
"""By the name that the command takes."""
