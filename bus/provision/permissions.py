"""Who may publish and subscribe what: one allow list per user, made from the fleet file.

The rules are the product's security. A subject that a user may publish is an identity it may claim; a
reply subject is chosen by the requester, so whoever answers must own nothing worth steering to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bus.provision import parts
from schemas import names, subjects
from schemas.approvals import GLASS_VERBS, READING_VERBS, VOTING_VERBS
from schemas.fleet import AgentRole, Fleet

_CANARY = ("GetExtendedAgentCard", "SendMessage")
_RESPONSE_WINDOW_S = 30


@dataclass(frozen=True, slots=True)
class User:
    """One nkey user of the server. `principal` owns the key file `credential`."""

    account: str
    principal: str
    credential: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    may_respond_s: int = 0
    """Seconds for which it may answer each message it got, on whatever reply subject; 0 is never."""


def users_of(fleet: Fleet, archives: Sequence[str] = ()) -> tuple[User, ...]:
    """Every user of the fleet, services first; who may read the trail may read its `archives`."""
    trail = _reading_the_trail(archives)
    return (
        *_services(trail),
        *_sealer(trail),
        *map(_witness, fleet.witnesses),
        *(user for agent, role in fleet.agents.items() for user in (_bus_agent(agent, role), _own_agent(agent))),
        *(user for operator in fleet.operators for user in (_operator(operator), _own_operator(operator))),
        *map(_reviewer, fleet.reviewers),
        *(_auditor(auditor, trail) for auditor in fleet.auditors),
    )


def _consumer(stream: str, consumer: str) -> str:
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"


def _replay(stream: str, consumer: str) -> tuple[str, ...]:
    """Rights of a consumer that folds a stream from its start: read on, and start again."""
    return _consumer(stream, consumer), f"$JS.API.CONSUMER.RESET.{stream}.{consumer}"


def _audit(name: str, *, agent: bool) -> tuple[str, ...]:
    family = "agent" if agent else "sys"
    return f"audit.{family}.{name}.>", f"audit.last.{name}.>"


def _services(trail: tuple[str, ...]) -> tuple[User, ...]:
    inbox = {name: f"{names.inbox_prefix(name)}.>" for name in (names.APPROVALS, names.APPLIER)}
    streams = (names.PROPOSALS, names.DECISIONS, names.OUTCOMES)
    service = User(
        names.ACCOUNT_APPROVALS,
        names.APPROVALS,
        names.OWN_CREDENTIAL,
        publish=(
            subjects.Notify.pattern(),
            subjects.Apply.pattern(),
            *(right for stream in streams for right in _replay(stream, names.APPROVALS)),
            *_audit(names.APPROVALS, agent=False),
        ),
        subscribe=(
            subjects.Propose.pattern(),
            subjects.Withdraw.pattern(),
            subjects.BreakGlass.pattern(),
            subjects.Evaluate.pattern(),
            subjects.Inquire.pattern(),
            subjects.Review.pattern(),
            subjects.Outcome.pattern(),
            inbox[names.APPROVALS],
        ),
        may_respond_s=_RESPONSE_WINDOW_S,
    )
    applier = User(
        names.ACCOUNT_APPROVALS,
        names.APPLIER,
        names.OWN_CREDENTIAL,
        publish=(
            subjects.Outcome.pattern(),
            *(right for stream in streams for right in _replay(stream, names.APPLIER)),
            *_audit(names.APPLIER, agent=False),
        ),
        subscribe=(subjects.Apply.pattern(), inbox[names.APPLIER]),
    )
    canary = User(
        names.ACCOUNT_BUS,
        names.APPLIER,
        names.BUS_CREDENTIAL,
        publish=tuple(subjects.Request.pattern(caller=names.APPLIER, operation=operation) for operation in _CANARY),
        subscribe=(subjects.Reply.pattern(caller=names.APPLIER), inbox[names.APPLIER]),
    )
    return service, applier, canary, _witness_of_health(trail), _provision()


def _witness_of_health(trail: tuple[str, ...]) -> User:
    """How the applier sees whether an agent that it restarted writes its trail: it reads, as an auditor does."""
    return User(
        names.ACCOUNT_AUDIT,
        names.APPLIER,
        names.TRAIL_CREDENTIAL,
        publish=trail,
        subscribe=(f"{names.inbox_prefix(names.APPLIER)}.>",),
    )


def _provision() -> User:
    """It reads what was proposed and how people voted, nothing else: what the applier says is no reason for it."""
    return User(
        names.ACCOUNT_APPROVALS,
        names.PROVISION,
        names.OWN_CREDENTIAL,
        publish=tuple(
            right for stream in (names.PROPOSALS, names.DECISIONS) for right in _replay(stream, names.PROVISION)
        ),
        subscribe=(f"{names.inbox_prefix(names.PROVISION)}.>",),
    )


def _sealer(trail_rights: tuple[str, ...]) -> tuple[User, User]:
    inbox = f"{names.inbox_prefix(names.SEALER)}.>"
    own = User(
        names.own_account(names.SEALER),
        names.SEALER,
        names.OWN_CREDENTIAL,
        publish=_audit(names.SEALER, agent=False),
        subscribe=(inbox,),
    )
    trail = User(
        names.ACCOUNT_AUDIT,
        names.SEALER,
        names.TRAIL_CREDENTIAL,
        publish=(*trail_rights, subjects.SEAL, subjects.Cosign.pattern()),
        subscribe=(inbox, subjects.Cosigned.pattern()),
    )
    return own, trail


def _witness(witness: str) -> User:
    # It answers on a subject of its own and nowhere else, so a requester can steer it nowhere.
    return User(
        names.ACCOUNT_AUDIT,
        witness,
        names.OWN_CREDENTIAL,
        publish=(subjects.Cosigned.pattern(witness=witness),),
        subscribe=(str(subjects.Cosign(witness)),),
    )


def _reading_cards(agent: str) -> tuple[str, ...]:
    return subjects.Request.pattern(caller=agent, operation="GetExtendedAgentCard"), str(subjects.RollCall(agent))


def _bus_agent(agent: str, role: AgentRole) -> User:
    return User(
        names.ACCOUNT_BUS,
        agent,
        names.BUS_CREDENTIAL,
        publish=(
            *(subjects.Request.pattern(agent=other, caller=agent) for other in role.asks),
            *(subjects.Task.pattern(agent=other, caller=agent) for other in role.asks),
            *(_reading_cards(agent) if role.reads_cards else ()),
            subjects.Reply.pattern(agent=agent),
            subjects.TaskEvent.pattern(agent=agent),
            subjects.DeadLetter.pattern(agent=agent),
            subjects.Heartbeat.pattern(agent=agent),
            "_INBOX.>",
            _consumer(names.TASKS, agent),
            f"$JS.ACK.{names.TASKS}.{agent}.>",
        ),
        subscribe=(
            subjects.Request.pattern(agent=agent),
            subjects.Reply.pattern(caller=agent),
            subjects.TaskEvent.pattern(caller=agent),
            subjects.Heartbeat.pattern(),
            subjects.RollCall.pattern(),
            f"{names.inbox_prefix(agent)}.>",
            *(subject for verb in subjects.MICRO_VERBS for subject in subjects.micro_subjects(verb, agent, "*")),
        ),
    )


def _own_agent(agent: str) -> User:
    inbox = f"{names.inbox_prefix(agent)}.>"
    buckets = (names.TASK_BUCKET, names.PUSH_BUCKET, names.SESSION_BUCKET)
    streams = (*(f"KV_{bucket}" for bucket in buckets), names.TASK_LOG, names.TASK_LATER)
    return User(
        names.own_account(agent),
        agent,
        names.OWN_CREDENTIAL,
        publish=(
            *_audit(agent, agent=True),
            *_proposing(agent),
            *(f"$KV.{bucket}.>" for bucket in buckets),
            *parts.RIGHTS,
            subjects.TaskUpdate.pattern(),
            subjects.TaskCommand.pattern(),
            subjects.TaskLater.pattern(),
            _consumer(names.TASK_LATER, names.DUE),
            f"$JS.ACK.{names.TASK_LATER}.{names.DUE}.>",
            inbox,  # instances of the agent answer each other here; nobody else is in this account
            *(f"$JS.API.STREAM.INFO.{stream}" for stream in streams),
            *(f"$JS.API.DIRECT.GET.{stream}" for stream in streams),
            *(f"$JS.API.DIRECT.GET.{stream}.>" for stream in streams),
        ),
        subscribe=(subjects.TaskUpdate.pattern(), subjects.TaskCommand.pattern(), inbox),
    )


def _operator(operator: str) -> User:
    return User(
        names.ACCOUNT_BUS,
        operator,
        names.BUS_CREDENTIAL,
        publish=(
            subjects.Request.pattern(caller=operator),
            subjects.Task.pattern(caller=operator),
            str(subjects.RollCall(operator)),
            *_replay(names.DEAD, operator),
            *(f"$SRV.{verb}{below}" for verb in subjects.MICRO_VERBS for below in ("", ".>")),
        ),
        subscribe=(
            subjects.Reply.pattern(caller=operator),
            subjects.TaskEvent.pattern(caller=operator),
            subjects.Heartbeat.pattern(),
            f"{names.tool_inbox_prefix(operator)}.>",
        ),
    )


def _own_operator(operator: str) -> User:
    return User(
        names.own_account(operator),
        operator,
        names.OWN_CREDENTIAL,
        publish=(
            *parts.RIGHTS,
            *_proposing(operator),
            *(str(subjects.BreakGlass(operator, verb)) for verb in GLASS_VERBS),
            str(subjects.Evaluate(operator)),
        ),
        subscribe=(f"{names.tool_inbox_prefix(operator)}.>", subjects.Notify.pattern()),
    )


def _proposing(proposer: str) -> tuple[str, ...]:
    """Propose, take back, ask what became of it."""
    return (
        str(subjects.Propose(proposer)),
        str(subjects.Withdraw(proposer)),
        *(str(subjects.Inquire(proposer, verb)) for verb in READING_VERBS),
    )


def _reviewer(reviewer: str) -> User:
    return User(
        names.reviewer_account(reviewer),
        reviewer,
        names.OWN_CREDENTIAL,
        publish=tuple(f"approvals.{verb}" for verb in (*READING_VERBS, *VOTING_VERBS)),
        subscribe=("_INBOX.>", subjects.Notify.pattern()),
    )


def _auditor(auditor: str, trail: tuple[str, ...]) -> User:
    return User(
        names.ACCOUNT_AUDIT,
        auditor,
        names.OWN_CREDENTIAL,
        publish=trail,
        subscribe=(f"{names.inbox_prefix(auditor)}.>",),
    )


def _reading_the_trail(archives: Sequence[str]) -> tuple[str, ...]:
    """Stream by stream: a name that begins as theirs is no right to read it."""
    direct = f"$JS.API.DIRECT.GET.{names.AUDIT}"
    return (
        direct,
        f"{direct}.>",
        *(f"$JS.API.DIRECT.GET.{archive}" for archive in archives),
        *(f"$JS.API.STREAM.INFO.{stream}" for stream in (names.AUDIT, *archives)),
    )
