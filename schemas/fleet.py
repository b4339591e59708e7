"""The fleet file: who is on the bus, and who may ask whom. Permissions are generated from it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.documents import Document
from schemas.names import RESERVED
from schemas.subjects import AGENT_ID, TOKEN

AgentId = Annotated[str, StringConstraints(pattern=f"^{AGENT_ID}$")]
PersonId = Annotated[str, StringConstraints(pattern=f"^{AGENT_ID}$")]
Group = Annotated[str, StringConstraints(pattern=f"^{TOKEN}$")]


class AgentRole(Document):
    """What one agent may do on the bus."""

    asks: tuple[AgentId, ...] = Field((), description="agents this one may send requests and tasks to")
    reads_cards: bool = Field(
        False, description="whether it may call the roll and ask every agent for its card, as a directory does"
    )
    may_propose: bool = Field(True, description="whether it may propose changes to itself")
    storage_mb: int = Field(64, ge=1, le=65536, description="quota of its own JetStream account")


class Reviewer(Document):
    """A person who votes on proposals."""

    groups: tuple[Group, ...] = ("staff",)


class Member(Document):
    """One server of a cluster."""

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535, description="where clients connect")
    route_port: int = Field(ge=1, le=65535, description="where the other servers connect")


class Listen(Document):
    """Where nats-server listens: one server, or the three of a cluster, which keep three copies of everything."""

    host: str = "127.0.0.1"
    port: int = Field(4222, ge=1, le=65535)
    cluster: tuple[Member, ...] = ()

    @model_validator(mode="after")
    def _one_or_three(self) -> Self:
        if len(self.cluster) not in {0, 3}:
            raise ValueError(f"a cluster has three servers, not {len(self.cluster)}; leave cluster out for one")
        ports = [(member.host, port) for member in self.cluster for port in (member.port, member.route_port)]
        if len(set(ports)) != len(ports):
            raise ValueError("each port of a cluster may be used once")
        return self

    @property
    def replicas(self) -> int:
        """How many servers keep a copy of each stream."""
        return len(self.cluster) or 1


class Fleet(Document):
    """The whole fleet."""

    name: AgentId
    agents: dict[AgentId, AgentRole]
    operators: tuple[PersonId, ...] = ("ops",)
    reviewers: dict[PersonId, Reviewer] = {}
    auditors: tuple[PersonId, ...] = ("auditor",)
    nats: Listen = Listen()

    @model_validator(mode="after")
    def _names_are_distinct_and_known(self) -> Self:
        names = [*self.agents, *self.operators, *self.reviewers, *self.auditors]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each name may be used once in a fleet; used twice: {', '.join(twice)}")
        reserved = sorted(RESERVED.intersection(names))
        if reserved:
            raise ValueError(f"these names belong to the product itself: {', '.join(reserved)}")
        for agent, role in self.agents.items():
            strangers = sorted(set(role.asks) - set(self.agents))
            if strangers:
                raise ValueError(f"agents.{agent}.asks names agents that are not in the fleet: {', '.join(strangers)}")
        return self
