"""Who writes audit events: a process instance with a chain, a fence and a signing key of its own."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import names
from schemas.errors import InvalidSubject
from schemas.subjects import AgentAudit, SystemAudit


@dataclass(frozen=True, slots=True)
class Producer:
    """One slot of an agent (`is_agent`) or of a component; every subject it writes to starts with `prefix`."""

    name: str
    slot: str
    is_agent: bool

    def __post_init__(self) -> None:
        self.subject("process")  # refuses a name or slot that is not a plain token

    @classmethod
    def of_subject(cls, subject: str) -> Producer:
        """The producer that alone may write to `subject`.

        Raises:
            InvalidSubject: no producer writes there.
        """
        if subject.startswith("audit.agent."):
            agent = AgentAudit.parse(subject)
            return cls(agent.agent, agent.slot, is_agent=True)
        if subject.startswith("audit.sys."):
            component = SystemAudit.parse(subject)
            return cls(component.component, component.slot, is_agent=False)
        raise InvalidSubject(f"{subject!r} is not the subject of an audit event")

    @property
    def source(self) -> str:
        """The CloudEvents `source` of everything it writes."""
        return f"urn:agentbus:{'agent' if self.is_agent else 'sys'}:{self.name}"

    @property
    def prefix(self) -> str:
        """What its subjects start with, whatever the slot: the key of the trust file."""
        return f"audit.{'agent' if self.is_agent else 'sys'}.{self.name}."

    @property
    def fence(self) -> str:
        """All subjects of this slot: a batch names the last sequence on them, so a second writer is refused."""
        return f"{self.slot_prefix}>"

    @property
    def slot_prefix(self) -> str:
        """What all subjects of this slot start with: the name of one chain."""
        return f"{self.prefix}{self.slot}."

    def subject(self, domain: str) -> str:
        """Where an event of `domain` goes."""
        if self.is_agent:
            return str(AgentAudit(self.name, self.slot, domain))
        return str(SystemAudit(self.name, self.slot, domain))

    def last_subject(self, domain: str) -> str:
        """Where the last event of `domain` is asked for; the account imports it from AUDIT's direct get."""
        return f"audit.last.{self.name}.{self.slot}.{domain}"


@dataclass(frozen=True, slots=True)
class Insider(Producer):
    """A producer within the account of the trail: it asks the stream itself, as no import stands between."""

    def last_subject(self, domain: str) -> str:
        """Where the last event of `domain` is asked for."""
        return f"$JS.API.DIRECT.GET.{names.AUDIT}.{self.subject(domain)}"
