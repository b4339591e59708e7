"""What is declared about JetStream's API: of every call on every stream, which roles are answered.

It is a short list, because nobody in service may make, change or empty anything: what is not in `_MAY` nobody may.

Source: JetStream wire API (ADR-1, nats-server 2.15 `jetstream_api.go`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.matrix.roles import AGENT, APPLIER, APPROVALS, AUDITOR, LOOKER, OPERATOR, OWN, PROVISION, SEALER
from tests.matrix.rules import Rule, Way

API = "$JS.API"
_SHARED = ("TASKS", "EVENTS", "DEAD", "AUDIT", "PROPOSALS", "DECISIONS", "OUTCOMES")
_OF_AN_AGENT = ("KV_tasks", "KV_push", "KV_sessions", "TASK_LOG", "TASK_LATER")
STREAMS = (*_SHARED, *_OF_AN_AGENT, "OBJ_{me}", "OBJ_{operator}", "OBJ_{agent}")
_ON_A_STREAM = (
    "STREAM.CREATE.{stream}", "STREAM.UPDATE.{stream}", "STREAM.DELETE.{stream}", "STREAM.PURGE.{stream}",
    "STREAM.INFO.{stream}", "STREAM.MSG.DELETE.{stream}", "STREAM.MSG.GET.{stream}", "STREAM.SNAPSHOT.{stream}",
    "STREAM.RESTORE.{stream}", "STREAM.PEER.REMOVE.{stream}", "STREAM.LEADER.STEPDOWN.{stream}",
    "DIRECT.GET.{stream}", "DIRECT.GET.{stream}.x",
    "CONSUMER.CREATE.{stream}", "CONSUMER.CREATE.{stream}.new", "CONSUMER.CREATE.{stream}.new.x", "CONSUMER.CREATE.{stream}.new.a2a.>",
    "CONSUMER.DURABLE.CREATE.{stream}.new", "CONSUMER.NAMES.{stream}", "CONSUMER.LIST.{stream}",
    *(
        f"CONSUMER.{verb}.{{stream}}.{whose}"
        for verb in ("MSG.NEXT", "RESET", "INFO", "DELETE", "PAUSE", "UNPIN", "LEADER.STEPDOWN")
        for whose in ("{me}", "{other}", "new", "due")
    ),
)  # fmt: skip
_ON_ALL = (
    "INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.CREATE.MINE", "STREAM.TEMPLATE.NAMES", "META.LEADER.STEPDOWN",
    "SERVER.REMOVE", "SERVER.STREAM.MOVE.A.S", "ACCOUNT.STREAM.MOVE.A.S", "ACCOUNT.PURGE.BUS",
)  # fmt: skip
_FOLDS = {"PROPOSALS": (APPROVALS, APPLIER, PROVISION), "DECISIONS": (APPROVALS, APPLIER, PROVISION)}
_FOLDING = {**_FOLDS, "OUTCOMES": (APPROVALS, APPLIER), "DEAD": (OPERATOR,)}
_READERS = {"AUDIT": (AUDITOR, SEALER, LOOKER), **dict.fromkeys(_OF_AN_AGENT, (OWN,))}

_MAY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "STREAM.INFO.{stream}": _READERS,
    "DIRECT.GET.{stream}": _READERS,
    "DIRECT.GET.{stream}.x": _READERS,
    "CONSUMER.MSG.NEXT.{stream}.{me}": {"TASKS": (AGENT,), **_FOLDING},
    "CONSUMER.RESET.{stream}.{me}": _FOLDING,
    "CONSUMER.MSG.NEXT.{stream}.due": {"TASK_LATER": (OWN,)},
}
"""Call to stream to roles."""


def powers() -> Iterator[Rule]:
    """Every rule about the API, and about acknowledging what a consumer delivered."""
    for call in _ON_ALL:
        yield Rule(f"{API}.{call}", way=Way.ANSWERED)
    for stream in STREAMS:
        for call in _ON_A_STREAM:
            may = _MAY.get(call, {}).get(stream, ())
            yield Rule(f"{API}.{call.replace('{stream}', stream)}", frozenset(may), way=Way.ANSWERED)
        for whose in ("{me}", "{other}", "due"):
            may = _ACKS.get((stream, whose), ())
            yield Rule(f"$JS.ACK.{stream}.{whose}.1.1.1.1.0", frozenset(may))
        yield Rule(f"$JS.FC.{stream}.x.y")
        yield Rule(f"$JS.SNAPSHOT.ACK.{stream}.x")


_ACKS: Mapping[tuple[str, str], tuple[str, ...]] = {("TASKS", "{me}"): (AGENT,), ("TASK_LATER", "due"): (OWN,)}
