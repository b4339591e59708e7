"""Every stream, bucket and consumer, by account. Only provisioning makes them; services check them.

Source: JetStream API (stream and consumer configuration); the table in `nats/TRAIL.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bus.provision import parts
from schemas import names, subjects
from schemas.approvals import GLASS_VERBS, VOTING_VERBS
from schemas.fleet import Fleet

_S = 1_000_000_000
_DAY_S = 24 * 3600
_DAY = _DAY_S * _S
TASKS_MAX_AGE_S = 30 * _DAY_S
TASK_ACK_WAIT_S = 6
"""A worker says 'in progress' three times within this; after it a silent worker's task goes to another."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of one account and the durable pull consumers on it, as JetStream API objects."""

    account: str
    config: dict[str, Any]
    consumers: tuple[dict[str, Any], ...] = field(default=())

    @property
    def name(self) -> str:
        """The stream's name."""
        return str(self.config["name"])


def streams_of(fleet: Fleet) -> tuple[Stream, ...]:
    """What must exist for this fleet."""
    streams = (
        Stream(names.ACCOUNT_BUS, _tasks(fleet), tuple(map(_task_consumer, fleet.agents))),
        Stream(names.ACCOUNT_BUS, _events()),
        Stream(names.ACCOUNT_BUS, _dead(), tuple(map(_dead_letters_of, fleet.operators))),
        *(Stream(names.ACCOUNT_PARTS, parts.bucket(n, room, 60 * _DAY)) for n, room in parts.rooms(fleet).items()),
        Stream(names.ACCOUNT_AUDIT, _audit(is_cluster=bool(fleet.nats.cluster))),
        *(Stream(names.ACCOUNT_APPROVALS, config, _readers(config)) for config in _approvals()),
        *(
            Stream(names.own_account(agent), config)
            for agent, role in fleet.agents.items()
            for config in _own(role.storage_mb * 1024**2, role.sessions_mb * 1024**2)
        ),
        *(Stream(names.own_account(agent), _later(), (_due(),)) for agent in fleet.agents),
    )
    copies = {"num_replicas": fleet.nats.replicas}
    return tuple(Stream(stream.account, stream.config | copies, stream.consumers) for stream in streams)


def own_streams() -> tuple[dict[str, Any], ...]:
    """What every agent has in its own account, without the sizes that the fleet file gives."""
    return (*_own(0, 0), _later())


def trail_streams() -> tuple[dict[str, Any], ...]:
    """The trail, without what differs between one server and a cluster."""
    return ({key: value for key, value in _audit(is_cluster=False).items() if key != "compression"},)


def _log(name: str, subject_list: list[str], **more: Any) -> dict[str, Any]:
    """A stream that is only ever added to."""
    return {
        "name": name,
        "subjects": subject_list,
        "storage": "file",
        "retention": "limits",
        "deny_delete": True,
        "deny_purge": True,
        **more,
    }


def _tasks(fleet: Fleet) -> dict[str, Any]:
    # A subject is one agent and one caller: a caller that loops is refused before it fills the stream for all.
    return _log(
        names.TASKS, [subjects.Task.pattern()], discard="new", max_age=TASKS_MAX_AGE_S * _S, max_bytes=4 * 1024**3,
        duplicate_window=120 * _S,
        max_msgs_per_subject=fleet.tasks_per_caller, discard_new_per_subject=True,
    )  # fmt: skip


def _events() -> dict[str, Any]:
    return _log(
        names.EVENTS, [subjects.TaskEvent.pattern()], discard="old", max_age=7 * _DAY, max_bytes=4 * 1024**3,
        max_msgs_per_subject=10_000,
    )  # fmt: skip


def _dead() -> dict[str, Any]:
    # One caller's unreadable messages push out older ones of its own only, as long as there is room at all.
    return _log(
        names.DEAD, [subjects.DeadLetter.pattern()], discard="old", max_age=30 * _DAY, max_bytes=1024**3,
        max_msgs_per_subject=1_000,
    )  # fmt: skip


def _audit(*, is_cluster: bool) -> dict[str, Any]:
    # `discard: new`: a flooder must never push history out. No age limit, no deletion, no purge.
    # Compressed on one server only: nats-server 2.15 cannot cut a compressed block back when a killed member
    # of a cluster replays its log ("smb.truncate: … s2: unsupported input"), and the stream is left without a leader.
    return _log(
        names.AUDIT, ["audit.>"], discard="new", max_age=0, allow_direct=True, allow_atomic=True,
        compression="none" if is_cluster else "s2",
        duplicate_window=3600 * _S, max_msg_size=names.MAX_AUDIT_EVENT_BYTES,
    )  # fmt: skip


def _approvals() -> tuple[dict[str, Any], ...]:
    # `no_ack`: the answer to a vote or a proposal is the service's, the record is the server's.
    votes = [subjects.Review.pattern(verb=verb) for verb in VOTING_VERBS]
    proposals = [subjects.Propose.pattern(), subjects.Withdraw.pattern(), subjects.Evaluate.pattern()]
    proposals += [subjects.BreakGlass.pattern(verb=verb) for verb in GLASS_VERBS]
    return (
        _log(names.PROPOSALS, proposals, no_ack=True, discard="new", max_msg_size=names.MAX_PROPOSAL_BYTES),
        _log(names.DECISIONS, votes, no_ack=True, discard="new", max_msg_size=4096),
        _log(names.OUTCOMES, [subjects.Outcome.pattern()], discard="new", max_msg_size=16384),
    )


def _own(quota_bytes: int, sessions_bytes: int) -> tuple[dict[str, Any], ...]:
    """What an agent keeps in its own account: of tasks snapshots, updates, who wants to be notified; conversations."""
    return (
        _bucket(names.TASK_BUCKET, quota_bytes // 2),
        _bucket(names.PUSH_BUCKET, quota_bytes // 16),
        _bucket(names.SESSION_BUCKET, sessions_bytes),
        _log(
            names.TASK_LOG, [subjects.TaskUpdate.pattern()], discard="old", max_age=7 * _DAY,
            max_bytes=quota_bytes // 4, max_msgs_per_subject=10_000, allow_direct=True, duplicate_window=120 * _S,
        ),
    )  # fmt: skip


def _later() -> dict[str, Any]:
    # The server may not refuse what is too much here (schedules exclude `discard: new`), and dropping the oldest
    # would lose a task: so there is no limit of bytes, and the worker looks before it adds one (`bus.tasks.later`).
    return {
        "name": names.TASK_LATER,
        "subjects": [subjects.TaskLater.pattern(), subjects.TaskDue.pattern()],
        "storage": "file",
        "retention": "workqueue",
        "max_msgs_per_subject": 1,
        "deny_delete": True,
        "allow_direct": True,
        "allow_msg_schedules": True,
        "allow_msg_ttl": True,
    }


def _bucket(name: str, max_bytes: int) -> dict[str, Any]:
    """A key-value bucket. Source: ADR-8."""
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "storage": "file",
        "max_msgs_per_subject": 1,
        "max_bytes": max_bytes,
        "discard": "new",
        "deny_delete": True,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "allow_msg_ttl": True,
    }


def _task_consumer(agent: str) -> dict[str, Any]:
    return _worked_off(agent, subjects.Task.pattern(agent=agent))


def _worked_off(name: str, pattern: str) -> dict[str, Any]:
    return {
        "durable_name": name,
        "filter_subject": pattern,
        "ack_policy": "explicit",
        "ack_wait": TASK_ACK_WAIT_S * _S,
        "max_deliver": -1,  # the server would drop the task without a word; the worker ends it, and says so
        "deliver_policy": "all",
    }


def _due() -> dict[str, Any]:
    return _worked_off(names.DUE, subjects.TaskDue.pattern())


def _dead_letters_of(operator: str) -> dict[str, Any]:
    # Read from its start each time; a right to DIRECT.GET in this account could be used to steer the server.
    return _fold(operator) | {"filter_subject": subjects.DeadLetter.pattern(caller=operator)}


def _fold(name: str) -> dict[str, Any]:
    # No acknowledgements: its owner reads everything from the start each time it starts.
    return {"durable_name": name, "ack_policy": "none", "deliver_policy": "all"}


def _readers(config: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    # Provisioning reads what people said, and not what the applier says.
    more = () if config["name"] == names.OUTCOMES else (names.PROVISION,)
    return tuple(map(_fold, (names.APPROVALS, names.APPLIER, *more)))
