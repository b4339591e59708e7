"""Agents to deploy, and what is rendered of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.deploying import TARGETS, Envelope, Rendered, Wanted, envelope_of

ROOT = Path(__file__).parents[2] / "agents"
AGENTS = [
    path.parent
    for folder in ("examples/agents", "newsroom/agents", "templates")
    for path in ROOT.glob(f"{folder}/*/agent.yaml")
]
"""Every agent that comes with the product; the example's greeter, whose keys are optional, first."""
AGENTS.sort(key=lambda path: (path.name != "greeter", path))
IMAGE = "registry.example/agentbus@sha256:" + "0" * 64


def envelope(agent: Path, **chosen: Any) -> Envelope:
    """The envelope of the agent in this folder; the folder has the agent's name."""
    return envelope_of(agent.name, agent, Wanted(**{"image": IMAGE, "nats_url": "tls://nats.example:4222"} | chosen))


def rendered(target: str, agent: Path, **chosen: Any) -> Rendered:
    """What a target makes of it."""
    return TARGETS[target].render(envelope(agent, **chosen))
