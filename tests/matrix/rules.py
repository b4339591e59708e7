"""What is declared: for each family of subjects, which roles may publish there and which may hear.

A role that a rule does not name may not. `{me}` is who tries; `{other}` is another of its kind; `{mine}` is an agent
that tries; `{agent}`, `{operator}`, `{reviewer}`, `{witness}` are others of that kind; `{asked}` is an agent that the
one who tries may ask, `{unasked}` one that it may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.matrix.roles import (
    AGENT,
    APPLIER,
    APPROVALS,
    ASKER,
    AUDITOR,
    CANARY,
    CARDS,
    LOOKER,
    OPERATOR,
    OPERATOR_OWN,
    OWN,
    PROPOSER,
    PROVISION,
    REVIEWER,
    SEALER,
    SEALER_OWN,
    WITNESS,
)  # fmt: skip


class Way(StrEnum):
    """What is looked at when somebody who may publish does."""

    LET = "let"
    """The server does not refuse it."""
    HEARD = "heard"
    """Nor does it say that nobody listens: it went through an import."""
    ANSWERED = "answered"
    """JetStream answers."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do what on one subject. `voiceless` may publish it, and nobody is there to hear."""

    subject: str
    publish: frozenset[str] = frozenset()
    hear: frozenset[str] = frozenset()
    way: Way = Way.LET
    voiceless: frozenset[str] = frozenset()
    is_pattern: bool = False
    """It is not published: it has wildcards."""


def _rule(subject: str, publish: tuple[str, ...] = (), hear: tuple[str, ...] = (), way: Way = Way.LET) -> Rule:
    return Rule(subject, frozenset(publish), frozenset(hear), way, is_pattern=subject.endswith(">") or "*" in subject)


_ASKING = (ASKER, OPERATOR)
_HEARERS = (AGENT, OPERATOR)
_REQ, _REP, _EVT = "a2a.v1.req", "a2a.v1.rep", "a2a.v1.evt"

# _LAST_TOKEN: nats-server 2.15 takes a last `>` of a subscription for the last `*` of an allow list, so one may hear
# below what one may hear. There is nothing: that nobody can publish a token more is declared beside each of these.
_REQUESTS = (
    _rule(f"{_REQ}.{{asked}}.{{me}}.SendMessage", (*_ASKING, CANARY)),
    _rule(f"{_REQ}.{{asked}}.{{me}}.GetExtendedAgentCard", (*_ASKING, CANARY)),
    *(_rule(f"{_REQ}.{{asked}}.{{me}}.{op}", _ASKING) for op in ("SendStreamingMessage", "GetTask", "CancelTask")),
    *(_rule(f"{_REQ}.{{unasked}}.{{me}}.{op}") for op in ("SendMessage", "GetTask", "ListTasks")),
    _rule(f"{_REQ}.{{unasked}}.{{me}}.GetExtendedAgentCard", (CARDS,)),
    *(_rule(f"{_REQ}.{{agent}}.{{{name}}}.SendMessage") for name in ("other", "operator", "reviewer", "witness")),
    _rule(f"{_REQ}.{{mine}}.{{mine}}.SendMessage", hear=(AGENT,)),
    _rule(f"{_REQ}.{{mine}}.{{operator}}.SendMessage", hear=(AGENT,)),
    _rule(f"{_REQ}.{{mine}}.*.*", hear=(AGENT,)),
    _rule(f"{_REQ}.{{mine}}.*.>", hear=(AGENT,)),  # see _LAST_TOKEN
    _rule(f"{_REQ}.{{mine}}.{{me}}.SendMessage.x"),
    *map(_rule, (f"{_REQ}.>", f"{_REQ}.{{agent}}.>", f"{_REQ}.{{agent}}.*.*", f"{_REQ}.*.{{me}}.*", f"{_REQ}.{{mine}}.>")),
    *map(_rule, (f"{_REQ}.{{asked}}.{{me}}", f"{_REQ}.{{asked}}.{{me}}.SendMessage.x", "a2a.v2.req.greeter.ops.SendMessage")),
)  # fmt: skip
_REPLIES = (
    _rule(f"{_REP}.{{operator}}.{{mine}}.x.1", (AGENT,)),
    _rule(f"{_REP}.{{operator}}.{{agent}}.x.1"),
    _rule(f"{_REP}.{{other}}.{{agent}}.x.1"),
    _rule(f"{_REP}.{{me}}.{{agent}}.x.1", hear=(*_HEARERS, CANARY)),
    _rule(f"{_REP}.{{me}}.*.*.*", hear=(*_HEARERS, CANARY)),
    *map(_rule, (f"{_REP}.>", f"{_REP}.{{other}}.*.*.*", f"{_REP}.{{operator}}.>", f"{_REP}.*.{{me}}.*.*", f"{_REP}.{{me}}.>")),
)  # fmt: skip
_TASKS = (
    _rule("a2a.v1.task.{asked}.{me}", _ASKING),
    *map(_rule, ("a2a.v1.task.{unasked}.{me}", "a2a.v1.task.{agent}.{other}", "a2a.v1.task.{mine}.{operator}")),
    *map(_rule, ("a2a.v1.task.{mine}.*", "a2a.v1.task.>", "a2a.v1.task.*.{me}")),
    _rule("a2a.v1.dead.{mine}.{operator}", (AGENT,)),
    *map(
        _rule,
        (
            "a2a.v1.dead.{agent}.{me}",
            "a2a.v1.dead.{agent}.{operator}",
            "a2a.v1.dead.>",
            "a2a.v1.dead.*.{me}",
            "a2a.v1.dead.{mine}.*",
        ),
    ),
    _rule(f"{_EVT}.{{mine}}.{{operator}}.task-1", (AGENT,)),
    _rule(f"{_EVT}.{{agent}}.{{me}}.task-1", hear=_HEARERS),
    _rule(f"{_EVT}.*.{{me}}.*", hear=_HEARERS),
    *map(
        _rule,
        (
            f"{_EVT}.{{agent}}.{{other}}.task-1",
            f"{_EVT}.{{agent}}.{{operator}}.task-1",
            f"{_EVT}.>",
            f"{_EVT}.*.{{other}}.*",
            f"{_EVT}.{{me}}.*.*",
        ),
    ),
)
_LIVENESS = (
    _rule("a2a.v1.hb.{mine}", (AGENT,), (AGENT,)),
    _rule("a2a.v1.hb.{agent}", hear=_HEARERS),
    _rule("a2a.v1.hb.*", hear=_HEARERS),
    _rule("a2a.v1.hb.>", hear=_HEARERS),  # see _LAST_TOKEN
    _rule("a2a.v1.hb.{me}.x"),
    _rule("a2a.v1.roll.{me}", (CARDS, OPERATOR), (AGENT,)),
    _rule("a2a.v1.roll.{other}", hear=(AGENT,)),
    *(_rule(f"$SRV.{verb}", (OPERATOR,), (AGENT,)) for verb in ("PING", "INFO", "STATS")),
    *(_rule(f"$SRV.{verb}.{{mine}}", hear=(AGENT,)) for verb in ("PING", "INFO", "STATS")),
    *(_rule(f"$SRV.{verb}.{{agent}}", (OPERATOR,)) for verb in ("PING", "INFO", "STATS")),
    _rule("$SRV.PING.{mine}.x", hear=(AGENT,)),
    _rule("$SRV.PING.{agent}.x", (OPERATOR,)),
    *map(_rule, ("$SRV.>", "$SRV.SCHEMA", "$SRV.PING.>", "$SRV")),
)
_LIBRARY = (AGENT, OWN, APPROVALS, APPLIER, CANARY, LOOKER, PROVISION, SEALER, SEALER_OWN, AUDITOR)
_TOOLS = (OPERATOR, OPERATOR_OWN, REVIEWER)
_INBOXES = (
    _rule("_INBOX_{me}.x", (OWN,), _LIBRARY),
    _rule("_INBOX_{me}.>", hear=_LIBRARY),
    _rule("_INBOX.{me}.x", (AGENT,), _TOOLS),
    _rule("_INBOX.{me}.>", hear=_TOOLS),
    _rule("_INBOX.{operator}.x", (AGENT,), (REVIEWER,)),
    _rule("_INBOX.>", hear=(REVIEWER,)),
    _rule("_INBOX_{reviewer}.x"),
    *(_rule(f"_INBOX_{name}{below}") for name in ("{other}", "{agent}", "approvals2") for below in (".x", ".>")),
    *(_rule(f"_INBOX_{name}.x", hear=()) for name in ("provision2", "witness-a", "witness-b")),
    *map(_rule, ("*.x", "_INBOX", "_INBOX_*.x")),
    _rule("_INBOX.*.x.y", hear=(REVIEWER,)),
    _rule("_INBOX.{operator}.>", hear=(REVIEWER,)),
)
_AUDIT = (
    _rule("audit.agent.{mine}.0.request", (OWN,), way=Way.ANSWERED),
    _rule("audit.agent.{agent}.0.request"),
    _rule("audit.sys.{me}.0.process", (APPROVALS, APPLIER, SEALER_OWN), way=Way.ANSWERED),
    _rule("audit.sys.{other}.0.process"),
    _rule("audit.sys.rotation.0.process"),
    _rule("audit.last.{me}.0.request", (OWN, APPROVALS, APPLIER, SEALER_OWN), way=Way.ANSWERED),
    _rule("audit.last.{other}.0.request"),
    _rule("audit.last.{agent}.0.request"),
    _rule("audit.seal", (SEALER,)),
    *map(_rule, ("audit.seal.x", "audit.x", "audit.>", "audit.agent.{me}.>", "audit.agent.>", "audit.sys.>")),
    _rule("seal.cosign.{witness}", (SEALER,)),
    _rule("seal.cosign.{me}", (SEALER,), (WITNESS,)),
    _rule("seal.cosigned.{me}.n", (WITNESS,), (SEALER,)),
    _rule("seal.cosigned.{other}.n", hear=(SEALER,)),
    _rule("seal.cosigned.*.*", hear=(SEALER,)),
    *map(_rule, ("seal.cosigned.{me}", "seal.>", "seal.cosign.*", "seal.cosigned.>")),
)


def _proposing(subject: str) -> Rule:
    """An agent's or an operator's in its own name. An agent that may not propose has no import: nobody hears it."""
    return Rule(subject, frozenset({PROPOSER, OPERATOR_OWN}), frozenset({APPROVALS}), Way.HEARD, frozenset({OWN}))


_VERBS = ("list", "show", "history", "approve", "reject", "revoke")
_APPROVALS = (
    *map(_proposing, ("approvals.propose.{me}", "approvals.withdraw.{me}", "approvals.ask.{me}.list", "approvals.ask.{me}.show", "approvals.ask.{me}.history")),
    *(_rule(subject, hear=(APPROVALS,)) for subject in (
        "approvals.propose.{other}", "approvals.propose.{agent}", "approvals.withdraw.{other}", "approvals.ask.{other}.list",
        "approvals.ask.{me}.approve", "approvals.glass.{other}.halt", "approvals.glass.{me}.approve",
        "approvals.evaluate.{other}", *(f"approvals.review.{{me}}.{verb}" for verb in _VERBS),
        *(f"approvals.review.{{reviewer}}.{verb}" for verb in _VERBS),
    )),
    *(_rule(f"approvals.glass.{{me}}.{verb}", (OPERATOR_OWN,), (APPROVALS,), Way.HEARD) for verb in ("halt", "revert")),
    _rule("approvals.evaluate.{me}", (OPERATOR_OWN,), (APPROVALS,), Way.HEARD),
    *(_rule(f"approvals.{verb}", (REVIEWER,), way=Way.HEARD) for verb in _VERBS),
    *map(_rule, ("approvals.destroy", "approvals.propose", "approvals.review", "approvals.apply")),
    _rule("approvals.apply.p-x", (APPROVALS,), (APPLIER,)),
    _rule("approvals.apply.>", hear=(APPLIER,)),  # see _LAST_TOKEN
    _rule("approvals.apply.p-x.x"),
    *(_rule(f"approvals.outcome.{what}", (APPLIER,), (APPROVALS,)) for what in ("p-x", "rules")),
    _rule("approvals.notify.p-x", (APPROVALS,), (REVIEWER, OPERATOR_OWN)),
    *map(_rule, ("approvals.>", "approvals.*", "approvals.review.>", "approvals.ask.>", "approvals.glass.>", "approvals.*.*")),
    _rule("approvals.propose.>", hear=(APPROVALS,)),  # see _LAST_TOKEN
    *map(_rule, ("approvals.propose.{me}.x", "approvals.review.{me}.approve.x", "approvals.approve.x")),
)  # fmt: skip
_SENDERS = (OWN, OPERATOR_OWN)
_PARTS = (
    _rule("part.put.{operator}.x.1", _SENDERS, way=Way.ANSWERED),
    _rule("part.name.eA==", _SENDERS, way=Way.ANSWERED),
    _rule("part.get.OBJ_{operator}.{operator}.x.1", _SENDERS, way=Way.ANSWERED),
    *map(_rule, ("part.put.{me}.{operator}.x.1", "part.get.x.1", "part.name", "part.>", "part.put.*.*.*", "part.get.>")),
    *map(_rule, ("$O.{me}.C.{operator}.x.1", "$O.{operator}.C.{me}.x.1", "$O.{me}.M.eA==", "$O.{operator}.M.eA==", "$O.>", "$O.{me}.>")),
)  # fmt: skip
_OWN_STATE = (
    *(_rule(f"$KV.{bucket}.{{me}}.x", (OWN,), way=Way.ANSWERED) for bucket in ("tasks", "push", "sessions")),
    *map(_rule, ("$KV.other.{me}.x", "$KV.>", "$KV.tasks.>", "task.>", "task.later.*.*", "task.due.{me}.task-1")),
    *(_rule(f"task.{kind}.{{me}}.task-1", (OWN,), (OWN,)) for kind in ("log", "run")),
    _rule("task.later.{me}.task-1", (OWN,)),
)
_SYSTEM = tuple(
    map(
        _rule,
        (
            ">", "*", "*.>", "*.*", "a2a.>", "agents.x", "x", "A2A.v1.hb.greeter", "$SYS.>", "$SYS.REQ.SERVER.PING",
            "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.BUS.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ", "$SYS.REQ.USER.INFO",
            "$SYS.REQ.CLAIMS.UPDATE", "$SYS.ACCOUNT.BUS.CONNECT", "$SYS.ACCOUNT.*.CONNECT", "$SYS.SERVER.*.CLIENT.AUTH.ERR",
            "$JS.>", "$JS.API.>", "$JS.ACK.>", "$JS.EVENT.ADVISORY.>", "$JS.EVENT.METRIC.>", "$JSC.>", "_R_.>", "$GR.>", "$LDS.>",
        ),
    )
)  # fmt: skip


def rules() -> Iterator[Rule]:
    """Every rule about messages; those about JetStream's API are in `tests.matrix.powers`."""
    for family in (
        _REQUESTS, _REPLIES, _TASKS, _LIVENESS, _INBOXES, _AUDIT, _APPROVALS, _PARTS, _OWN_STATE, _SYSTEM,
    ):  # fmt: skip
        yield from family
