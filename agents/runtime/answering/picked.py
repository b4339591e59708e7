"""A router whose model picks, put together from the agent's file. Imported only by processes that have one."""

from __future__ import annotations

from agents.context import Context
from agents.llm import Provider
from agents.loop import Models, layers_of
from agents.routing.picking import Picking
from agents.routing.router import RouterAnswering
from agents.runtime.answering.guard import Guard
from agents.runtime.answering.models import pool_of
from bus.audit.emit import Audit
from schemas.agent import AgentFile, Llm, Routing


def picking_of(
    file: AgentFile, routing: Routing, section: Llm, audit: Audit, instead: Provider | None
) -> RouterAnswering:
    """The router, `instead` in place of its models; close it at the end. Raises as `Pool.from_choices`."""
    pool = pool_of(section, audit, instead)
    layers = layers_of(file.resilience, audit)

    def models_of(context: Context) -> Models:
        """The models for one message.

        Raises:
            InvalidArgument: the message looks like an instruction to them, and such are refused.
        """
        guard = Guard(file.safety, context, audit)
        guard.look()
        return Models(context=context, pool=pool, budget=context.budget, layers=layers, guards=(guard,))

    return RouterAnswering(routing, Picking(routing, section, models_of), audit, pool.close)
