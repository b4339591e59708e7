"""How an agent asks others: what its model may ask by itself, and which agent a router passes a message on to."""

from __future__ import annotations

from pydantic import Field

from schemas.fleet import AgentId

from .tool_settings import ToolSettings


class AskSettings(ToolSettings):
    """Of `ask_agent`. The server lets an agent ask those alone that `asks` of the fleet file names."""

    timeout_s: float = Field(
        120.0, gt=0, le=3600, description="how long a call may take, the other agent's work included"
    )
    agents: tuple[AgentId, ...] = Field(
        (), description="the agents that the model may ask; without it, all that the fleet file lets this agent ask"
    )
    directory: AgentId = Field(
        "directory", description="the agent that knows who can do what; it has to be in `asks` to be asked"
    )
    at_once: int = Field(4, ge=1, le=64, description="how many of the calls of one turn run at the same time")
