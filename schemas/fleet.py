"""The fleet file: who is on the bus, and who may ask whom. Permissions are generated from it."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.documents import Document
from schemas.names import RESERVED
from schemas.subjects import AGENT_ID, TOKEN

AgentId = Annotated[str, StringConstraints(pattern=f"^{AGENT_ID}$")]
PersonId = Annotated[str, StringConstraints(pattern=f"^{AGENT_ID}$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:.-]{1,253}$")]
Group = Annotated[str, StringConstraints(pattern=f"^{TOKEN}$")]


def is_loopback(host: str) -> bool:
    """Whether only processes of the same machine get there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AgentRole(Document):
    """What one agent may do on the bus."""

    asks: tuple[AgentId, ...] = Field((), description="agents this one may send requests and tasks to")
    reads_cards: bool = Field(
        False, description="whether it may call the roll and ask every agent for its card, as a directory does"
    )
    instances: int = Field(1, ge=1, le=8, description="how many processes serve it at the same time on this machine")
    may_propose: bool = Field(True, description="whether it may propose changes to itself")
    storage_mb: int = Field(64, ge=1, le=65536, description="quota of its own JetStream account")
    sessions_mb: int = Field(32, ge=1, le=65536, description="room for the conversations and notes that it remembers")
    parts_mb: int = Field(256, ge=1, le=65536, description="room for the large parts that it sends")


OPERATORS_PARTS_MB = 256
"""Room for the large parts that one operator sends."""


class Reviewer(Document):
    """A person who votes on proposals."""

    groups: tuple[Group, ...] = Field(("staff",), description="groups of the policy that the person belongs to")


class Member(Document):
    """One server of a cluster."""

    host: str = Field("127.0.0.1", description="the server's name or address")
    port: int = Field(ge=1, le=65535, description="where clients connect")
    route_port: int = Field(ge=1, le=65535, description="where the other servers connect")


class Tls(Document):
    """How what is said to the server is encrypted; provisioning makes the certificate unless it is given."""

    names: tuple[Host, ...] = Field((), description="further names and addresses by which clients reach the server")
    cert_file: str = Field("", description="the server's certificate, where it is not provisioning that makes it")
    key_file: str = Field("", description="its key")
    ca_file: str = Field("", description="the certificate of the authority that signed it, for clients")

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        given = [bool(file) for file in (self.cert_file, self.key_file, self.ca_file)]
        if any(given) and not all(given):
            raise ValueError("cert_file, key_file and ca_file come together; leave all out to have them made")
        return self


class Listen(Document):
    """Where nats-server listens: one server, or the three of a cluster, which keep three copies of everything."""

    host: str = Field("127.0.0.1", description="the address that one server listens on")
    port: int = Field(4222, ge=1, le=65535, description="where clients connect to one server")
    cluster: tuple[Member, ...] = Field((), description="three servers in place of one")
    encryption: bool = Field(True, description="whether what the server keeps on its disk is encrypted")
    tls: bool | Tls | None = Field(
        None,
        description="TLS between the server and all others; left out, it is on unless only loopback is listened on",
    )

    @model_validator(mode="after")
    def _one_or_three(self) -> Self:
        if len(self.cluster) not in {0, 3}:
            raise ValueError(f"a cluster has three servers, not {len(self.cluster)}; leave cluster out for one")
        ports = [(member.host, port) for member in self.cluster for port in (member.port, member.route_port)]
        if len(set(ports)) != len(ports):
            raise ValueError("each port of a cluster may be used once")
        return self

    @model_validator(mode="after")
    def _nothing_in_the_clear(self) -> Self:
        if self.tls is False and not self.is_local:
            raise ValueError("tls may be off only where nothing but loopback is listened on; leave it out")
        return self

    @property
    def is_local(self) -> bool:
        """Whether nobody can connect from another machine."""
        return all(is_loopback(host) for host in ([member.host for member in self.cluster] or [self.host]))

    @property
    def has_tls(self) -> bool:
        """Whether clients, and the servers of a cluster, speak TLS."""
        return not self.is_local if self.tls is None else bool(self.tls)

    @property
    def given_files(self) -> Tls | None:
        """The certificate's files, where provisioning does not make them."""
        return self.tls if isinstance(self.tls, Tls) and self.tls.cert_file else None

    @property
    def more_names(self) -> tuple[str, ...]:
        """Further names by which clients reach the server."""
        return self.tls.names if isinstance(self.tls, Tls) else ()

    @property
    def replicas(self) -> int:
        """How many servers keep a copy of each stream."""
        return len(self.cluster) or 1


class Fleet(Document):
    """The whole fleet."""

    name: AgentId = Field(description="the fleet's name")
    agents: dict[AgentId, AgentRole] = Field(description="agents by id: the folders of agents/, and what each may do")
    operators: tuple[PersonId, ...] = Field(("ops",), description="who may ask every agent and leave it tasks")
    reviewers: dict[PersonId, Reviewer] = Field({}, description="who may approve changes")
    auditors: tuple[PersonId, ...] = Field(("auditor",), description="who may read the audit trail, and nothing else")
    witnesses: tuple[PersonId, ...] = Field(
        ("witness-a", "witness-b"),
        max_length=8,
        description="processes that cosign the trail's checkpoints; each is best run where the others are not",
    )
    same_person: tuple[tuple[PersonId, ...], ...] = Field(
        (), description="names of operators and reviewers that are one person: one vote, and none on what it proposed"
    )
    tasks_per_caller: int = Field(
        100_000, ge=1, description="durable tasks that one caller may leave for one agent within 30 days, done or not"
    )
    nats: Listen = Field(Listen(), description="the fleet's server")

    def person(self, name: str) -> str:
        """The person behind a name: the first of its names."""
        return next((names[0] for names in self.same_person if name in names), name)

    @model_validator(mode="after")
    def _names_are_distinct_and_known(self) -> Self:
        names = [*self.agents, *self.operators, *self.reviewers, *self.auditors, *self.witnesses]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each name may be used once in a fleet; used twice: {', '.join(twice)}")
        reserved = sorted(RESERVED.intersection(names))
        if reserved:
            raise ValueError(f"these names belong to the product itself: {', '.join(reserved)}")
        shared = [name for names in self.same_person for name in names]
        unknown = sorted(set(shared) - {*self.operators, *self.reviewers})
        if unknown or len(set(shared)) < len(shared):
            raise ValueError(
                "same_person takes operators and reviewers of the fleet, each once"
                + (f"; not among them: {', '.join(unknown)}" if unknown else "")
            )
        for agent, role in self.agents.items():
            strangers = sorted(set(role.asks) - set(self.agents))
            if strangers:
                raise ValueError(f"agents.{agent}.asks names agents that are not in the fleet: {', '.join(strangers)}")
        return self
