"""A router, made from its section of the agent's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.routing.router import RouterAnswering
from agents.routing.strategies import Capability, Static
from bus.audit.emit import Audit
from schemas.agent import AgentFile, Routing

if TYPE_CHECKING:
    from agents.llm import Provider


def routing_of(file: AgentFile, routing: Routing, audit: Audit, instead: Provider | None = None) -> RouterAnswering:
    """The way of answering that the section names, `instead` in place of its models; close it at the end. Raises as `Pool.from_choices`."""
    if routing.llm is not None:
        from agents.runtime.answering.picked import picking_of

        return picking_of(file, routing, routing.llm, audit, instead)
    kind = Static if routing.strategy == "static" else Capability
    return RouterAnswering(routing, kind(routing), audit, _nothing)


async def _nothing() -> None:
    """It holds nothing."""
