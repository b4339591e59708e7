"""Every NATS subject of the product, built and parsed here and nowhere else.

A sender is known only by the token of the subject that its account may publish, so a subject is
an identity: tokens are refused when they are not plain, never escaped (an escape that is not
injective makes two identities one). Each family has a fixed number of tokens.

Source: the table in `nats/README.md`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, fields
from typing import ClassVar, Self

from schemas.errors import InvalidSubject

AGENT_ID = r"[a-z][a-z0-9-]{0,24}"
"""An agent is also the system user `agent-<id>`, hence the length."""
TOKEN = r"[a-z0-9][a-z0-9_-]{0,62}"
OPERATION = r"[A-Z][A-Za-z]{2,62}"
SLOT = r"[0-9]{1,3}"
CHUNK = r"[0-9]{1,4}"
BUCKET_STREAM = r"OBJ_[a-z][a-z0-9-]{0,24}"

_TOKEN_RULES = {
    "agent": AGENT_ID,
    "proposer": AGENT_ID,
    "operation": OPERATION,
    "slot": SLOT,
    "chunk": CHUNK,
    "bucket": BUCKET_STREAM,
}
_TOKENS_ONCE_COMPILED = {name: re.compile(rule) for name, rule in {**_TOKEN_RULES, "": TOKEN}.items()}


def _rule(field: str) -> str:
    return _TOKEN_RULES.get(field, TOKEN)


def require_token(field: str, value: str) -> str:
    """Return `value` when it may stand as token `field` of a subject.

    Raises:
        InvalidSubject: it may not; the message quotes the rule.
    """
    pattern = _TOKENS_ONCE_COMPILED[field if field in _TOKEN_RULES else ""]
    if not pattern.fullmatch(value):
        raise InvalidSubject(f"{field} {value!r} is not a subject token; it must match {pattern.pattern}")
    return value


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of one family: `str()` builds it, `parse()` reads it, `pattern()` subscribes to many."""

    template: ClassVar[str]
    _regex: ClassVar[re.Pattern[str]]
    _names: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        # `dataclass(slots=True)` makes each class twice, so this must be safe to repeat.
        template = cls.__dict__.get("template")
        if template is not None:
            cls._names = tuple(re.findall(r"\{(\w+)\}", template))
            literal = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
            cls._regex = re.compile(re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{_rule(m[1])})", literal))

    def __post_init__(self) -> None:
        for name in self._names:
            require_token(name, getattr(self, name))

    def __str__(self) -> str:
        return self.template.format(**{name: getattr(self, name) for name in self._names})

    @classmethod
    def parse(cls, subject: str) -> Self:
        """Read a subject of this family.

        Raises:
            InvalidSubject: it is not of this family, or a token is not plain.
        """
        match = cls._regex.fullmatch(subject)
        if match is None:
            raise InvalidSubject(f"{subject!r} is not of the form {cls.template}")
        parsed = cls.__new__(cls)  # the pattern has checked every token already
        for name, token in match.groupdict().items():
            object.__setattr__(parsed, name, token)
        return parsed

    @classmethod
    def pattern(cls, **known: str) -> str:
        """The subscription that matches every subject of this family with the `known` tokens."""
        tokens = {
            field.name: require_token(field.name, known[field.name]) if field.name in known else "*"
            for field in fields(cls)
        }
        return cls.template.format(**tokens)


@dataclass(frozen=True, slots=True)
class Request(Subject):
    """A core request to an agent; the queue group is the agent's id."""

    template: ClassVar[str] = "a2a.v1.req.{agent}.{caller}.{operation}"
    agent: str
    caller: str
    operation: str


@dataclass(frozen=True, slots=True)
class Reply(Subject):
    """A reply to a library caller; the responder is pinned by its publish permission."""

    template: ClassVar[str] = "a2a.v1.rep.{caller}.{agent}.{client}.{nonce}"
    caller: str
    agent: str
    client: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Task(Subject):
    """A durable task, kept in stream TASKS."""

    template: ClassVar[str] = "a2a.v1.task.{agent}.{caller}"
    agent: str
    caller: str


@dataclass(frozen=True, slots=True)
class DeadLetter(Subject):
    """A durable task that was given up, kept in stream DEAD."""

    template: ClassVar[str] = "a2a.v1.dead.{agent}.{caller}"
    agent: str
    caller: str


@dataclass(frozen=True, slots=True)
class TaskEvent(Subject):
    """An update of one task, kept in stream EVENTS."""

    template: ClassVar[str] = "a2a.v1.evt.{agent}.{caller}.{task}"
    agent: str
    caller: str
    task: str


@dataclass(frozen=True, slots=True)
class TaskUpdate(Subject):
    """An update of one task in the agent's own account, kept in stream TASK_LOG."""

    template: ClassVar[str] = "task.log.{caller}.{task}"
    caller: str
    task: str


@dataclass(frozen=True, slots=True)
class TaskCommand(Subject):
    """In the agent's own account: from any instance to the one that runs the task."""

    template: ClassVar[str] = "task.run.{caller}.{task}"
    caller: str
    task: str


@dataclass(frozen=True, slots=True)
class TaskLater(Subject):
    """A task that is put off, in the agent's own account, kept in stream TASK_LATER."""

    template: ClassVar[str] = "task.later.{caller}.{task}"
    caller: str
    task: str


@dataclass(frozen=True, slots=True)
class TaskDue(Subject):
    """A task that was put off and is due: moved here by the server, within stream TASK_LATER."""

    template: ClassVar[str] = "task.due.{caller}.{task}"
    caller: str
    task: str


@dataclass(frozen=True, slots=True)
class Heartbeat(Subject):
    """A sign of life of an agent's instance."""

    template: ClassVar[str] = "a2a.v1.hb.{agent}"
    agent: str


@dataclass(frozen=True, slots=True)
class RollCall(Subject):
    """Asks every instance for a heartbeat now; it has no body and no reply."""

    template: ClassVar[str] = "a2a.v1.roll.{caller}"
    caller: str


@dataclass(frozen=True, slots=True)
class AgentAudit(Subject):
    """An audit event written by an agent's instance `slot`."""

    template: ClassVar[str] = "audit.agent.{agent}.{slot}.{domain}"
    agent: str
    slot: str
    domain: str


@dataclass(frozen=True, slots=True)
class SystemAudit(Subject):
    """An audit event written by a component that is not an agent."""

    template: ClassVar[str] = "audit.sys.{component}.{slot}.{domain}"
    component: str
    slot: str
    domain: str


SEAL = "audit.seal"
"""Checkpoints of the trail, in its own stream; the sealer alone may publish there."""


@dataclass(frozen=True, slots=True)
class Cosign(Subject):
    """The sealer asks a witness to cosign a checkpoint."""

    template: ClassVar[str] = "seal.cosign.{witness}"
    witness: str


@dataclass(frozen=True, slots=True)
class Cosigned(Subject):
    """The witness's answer; that it is the witness's is its publish permission."""

    template: ClassVar[str] = "seal.cosigned.{witness}.{nonce}"
    witness: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Propose(Subject):
    """A proposal of an agent to change itself, or of an operator, kept in stream PROPOSALS."""

    template: ClassVar[str] = "approvals.propose.{proposer}"
    proposer: str


@dataclass(frozen=True, slots=True)
class Withdraw(Subject):
    """A proposer takes a proposal back: `<proposal> [reason]`, kept in stream PROPOSALS."""

    template: ClassVar[str] = "approvals.withdraw.{proposer}"
    proposer: str


@dataclass(frozen=True, slots=True)
class Evaluate(Subject):
    """An operator puts on record how an agent did when it was evaluated; kept in stream PROPOSALS. It decides nothing."""

    template: ClassVar[str] = "approvals.evaluate.{operator}"
    operator: str


@dataclass(frozen=True, slots=True)
class BreakGlass(Subject):
    """An operator acts at once, without a vote, and answers for it afterwards; kept in stream PROPOSALS."""

    template: ClassVar[str] = "approvals.glass.{operator}.{verb}"
    operator: str
    verb: str


@dataclass(frozen=True, slots=True)
class Inquire(Subject):
    """A proposer asks what became of proposals: an agent of its own ones, an operator of all."""

    template: ClassVar[str] = "approvals.ask.{proposer}.{verb}"
    proposer: str
    verb: str


@dataclass(frozen=True, slots=True)
class Review(Subject):
    """What a reviewer sends, as the server rewrites it on import: the reviewer's token is the server's word."""

    template: ClassVar[str] = "approvals.review.{reviewer}.{verb}"
    reviewer: str
    verb: str


@dataclass(frozen=True, slots=True)
class Apply(Subject):
    """The approval service's wake-up for the applier; it carries no authority."""

    template: ClassVar[str] = "approvals.apply.{proposal}"
    proposal: str


@dataclass(frozen=True, slots=True)
class Outcome(Subject):
    """What the applier did with a proposal, or which rules came into force (`RULES`): kept in stream OUTCOMES."""

    template: ClassVar[str] = "approvals.outcome.{proposal}"
    proposal: str


RULES = "rules"
"""In the place of a proposal's id: the policy and the fleet file that are in force from here on."""


@dataclass(frozen=True, slots=True)
class Notify(Subject):
    """News for reviewers about a proposal: plain text, no authority."""

    template: ClassVar[str] = "approvals.notify.{proposal}"
    proposal: str


@dataclass(frozen=True, slots=True)
class PartChunk(Subject):
    """A piece of a large part in the bucket of its writer, in account PARTS. Source: ADR-20."""

    template: ClassVar[str] = "$O.{writer}.C.{reader}.{part}.{chunk}"
    writer: str
    reader: str
    part: str
    chunk: str


@dataclass(frozen=True, slots=True)
class PartPut(Subject):
    """A piece of a large part, as its writer sends it from an account of its own: the server adds who that is."""

    template: ClassVar[str] = "part.put.{reader}.{part}.{chunk}"
    reader: str
    part: str
    chunk: str


@dataclass(frozen=True, slots=True)
class PartGet(Subject):
    """Asks for a piece of a large part, from the reader's own account: the server adds whom it must be for."""

    template: ClassVar[str] = "part.get.{bucket}.{writer}.{part}.{chunk}"
    bucket: str
    writer: str
    part: str
    chunk: str


PART_NAME = "part.name.*"
"""Where a writer names what it has put, from an account of its own."""


def part_name(part: str) -> str:
    """The subject that names `part`, whose name as an object is the part's id. Source: ADR-20."""
    return PART_NAME.replace("*", base64.urlsafe_b64encode(require_token("part", part).encode()).decode())


def part_names_of(writer: str) -> str:
    """The same in account PARTS, where the server has added the writer."""
    return f"$O.{require_token('writer', writer)}.M.*"


MICRO_VERBS = ("PING", "INFO", "STATS")
"""What a micro service is asked. Source: ADR-32."""


def micro_subjects(verb: str, agent: str, instance: str) -> tuple[str, str, str]:
    """Where a question to every service, to those of `agent`, and to one instance arrives; `*` is any instance."""
    if instance != "*":
        require_token("instance", instance)
    return f"$SRV.{verb}", f"$SRV.{verb}.{require_token('agent', agent)}", f"$SRV.{verb}.{agent}.{instance}"


FAMILIES: tuple[type[Subject], ...] = (
    Request, Reply, Task, DeadLetter, TaskEvent, TaskUpdate, TaskCommand, TaskLater, TaskDue, Heartbeat, RollCall,
    AgentAudit, SystemAudit, Cosign, Cosigned, Propose, Withdraw, BreakGlass, Inquire, Review,
    Apply, Outcome, Notify, PartChunk, PartPut, PartGet,
)  # fmt: skip
