"""What was in force at a moment: each agent's configuration, the proposals that waited, the rules."""

from __future__ import annotations

import datetime

import msgspec

from bus.audit.read import Reader
from bus.audit.select import Selection, selected
from bus.audit.told import Told, is_of_proposal, told, when
from schemas import names

_DOMAINS = ("config", "process", "policy", "proposal", "apply")
_PROCESS = {"process.started": "serving", "process.draining": "draining", "process.stopped": "stopped"}
_PROPOSAL = {
    "proposal.made": "open", "apply.intended": "being applied", "apply.applied": "applied",
    "apply.rolled_back": "rolled back", "apply.refused": "refused",
}  # fmt: skip


class Loaded(msgspec.Struct, kw_only=True):
    """The configuration that one process had loaded. `proposal` is the change that made it so."""

    agent: str
    slot: str
    state: str = "starting"
    tree: str = ""
    version: str = ""
    since: str = ""
    epoch: str = ""
    proposal: str = ""


class Waiting(msgspec.Struct, kw_only=True):
    """A proposal that had no end."""

    agent: str
    proposal: str
    state: str
    digest: str = ""
    since: str = ""


class State(msgspec.Struct, kw_only=True):
    """What the trail tells of a moment. `policy` and `fleet` are SHA-256 digests of the files."""

    at: str
    processes: list[Loaded] = []
    proposals: list[Waiting] = []
    policy: str = ""
    fleet: str = ""
    sequence: int = 0
    """Of the last event that counts."""


async def state_at(reader: Reader, moment: datetime.datetime) -> State:
    """What was in force when the server had stored everything up to `moment`.

    Raises:
        Unavailable, DeadlineExceeded: as `Reader.records`.
    """
    events: list[Told] = []
    for domain in _DOMAINS:
        async for record in selected(reader, Selection(kind=domain, until=moment)):
            events += told(record)
    fold = _Fold(State(at=moment.isoformat().replace("+00:00", "Z"), processes=[], proposals=[]))
    for one in sorted(events, key=lambda one: one.sequence):
        fold.add(one)
    return fold.finish()


class _Fold:
    def __init__(self, state: State) -> None:
        self._state = state
        self._processes: dict[str, Loaded] = {}
        self._proposals: dict[str, Waiting] = {}
        self._told: list[Told] = []
        self._made_by: dict[tuple[str, str], str] = {}

    def add(self, one: Told) -> None:
        """Take an event of `_DOMAINS`, in the stream's order."""
        self._state.sequence = one.sequence
        kind, facts = one.event.short_type, one.event.data.metadata
        if is_of_proposal(one):
            self._told.append(one)
        elif kind == "policy.loaded" and not one.is_agent and one.writer == names.APPROVALS:
            self._state.policy, self._state.fleet = str(facts.get("policy", "")), str(facts.get("fleet", ""))
        elif one.is_agent and kind == "config.loaded":
            self._processes[one.process] = Loaded(
                agent=one.writer, slot=one.slot, tree=str(facts.get("tree", "")), version=str(facts.get("version", "")),
                since=one.event.time, epoch=one.event.epoch,
            )  # fmt: skip
        elif one.is_agent and kind in _PROCESS and one.process in self._processes:
            self._processes[one.process].state = _PROCESS[kind]

    def finish(self) -> State:
        """The state after everything that was added."""
        for one in sorted(self._told, key=when):
            self._of_proposal(one, one.event.short_type)
        for process in self._processes.values():
            process.proposal = self._made_by.get((process.agent, process.tree), "")
        self._state.processes = sorted(self._processes.values(), key=lambda one: (one.agent, one.slot))
        self._state.proposals = sorted(self._proposals.values(), key=lambda one: one.since)
        return self._state

    def _of_proposal(self, one: Told, kind: str) -> None:
        data = one.event.data
        agent, _, name = data.resource.partition("/")
        state = _PROPOSAL.get(kind, "")
        if kind == "proposal.decided":
            state = "expired" if data.action == "expire" else data.action
        tree = str(data.metadata.get("tree", ""))
        if kind == "apply.applied":
            self._made_by[agent, tree] = name
        if state in {"open", "approved", "being applied"}:
            first = self._proposals.setdefault(data.resource, Waiting(
                agent=agent, proposal=name, state=state, digest=str(data.metadata.get("digest", "")),
                since=one.event.time,
            ))  # fmt: skip
            first.state = state
        elif state:
            self._proposals.pop(data.resource, None)
