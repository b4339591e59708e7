"""A router, made from its section of the agent's file."""

from __future__ import annotations

from agents.llm import Provider
from agents.routing.picking import Picking
from agents.routing.router import RouterAnswering
from agents.routing.strategies import Capability, Static
from agents.runtime.answering.models import pool_of
from bus.audit.emit import Audit
from schemas.agent import Routing


def routing_of(routing: Routing, audit: Audit, instead: Provider | None = None) -> RouterAnswering:
    """The way of answering that the section names, `instead` in place of its models; close it at the end. Raises as `Pool.from_choices`."""
    if routing.llm is not None:
        pool = pool_of(routing.llm, audit, instead)
        return RouterAnswering(routing, Picking(routing, routing.llm, pool), audit, pool.close)
    kind = Static if routing.strategy == "static" else Capability
    return RouterAnswering(routing, kind(routing), audit, _nothing)


async def _nothing() -> None:
    """It holds nothing."""
