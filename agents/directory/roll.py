"""Who is online: a fold over heartbeats, without I/O and with the clock of its owner.

An instance is online from its first heartbeat until it says that it leaves, or has missed three. Time is
the listener's own, so an agent whose clock is wrong is not offline for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agents.directory.records import AgentRecord, InstanceRecord, Presence
from schemas.heartbeat import MISSED, Heartbeat
from schemas.ids import rfc3339

LEFT, SILENT = "it left", f"it missed {MISSED} heartbeats"


@dataclass(slots=True)
class _Heard:
    beat: Heartbeat
    at_s: float

    @property
    def expires_s(self) -> float:
        return self.at_s + MISSED * self.beat.interval_s


@dataclass(slots=True)
class _Agent:
    """`instances` by slot: a new instance in a slot takes the place of the old one, which must have ended."""

    instances: dict[str, _Heard] = field(default_factory=dict)
    last_s: float = 0
    version: str = ""
    state: Presence = "offline"
    since_s: float = 0
    reason: str = ""


class Roll:
    """Every agent that was heard. `now` is monotonic seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._agents: dict[str, _Agent] = {}

    def heard(self, agent: str, beat: Heartbeat, *, s_ago: float = 0) -> None:
        """Take down a heartbeat of `agent`, as the server enforced it."""
        at_s = self._now() - s_ago
        record = self._agents.setdefault(agent, _Agent(since_s=at_s))
        self._settle(record)
        record.last_s, record.version = max(record.last_s, at_s), beat.version
        if beat.state != "leaving":
            record.instances[beat.slot] = _Heard(beat, at_s)
            self._become(record, _state_of(record), at_s)
            return
        there = record.instances.get(beat.slot)
        if there is not None and there.beat.instance == beat.instance:
            del record.instances[beat.slot]
            self._become(record, _state_of(record), at_s, LEFT)

    def records(self) -> tuple[AgentRecord, ...]:
        """Everybody as they are now, in the order of their ids."""
        for record in self._agents.values():
            self._settle(record)
        return tuple(self._record(agent, self._agents[agent]) for agent in sorted(self._agents))

    def _settle(self, record: _Agent) -> None:
        """Let go of the instances whose time is over."""
        now_s = self._now()
        silent = [slot for slot, heard in record.instances.items() if heard.expires_s <= now_s]
        if silent:
            ended_s = max(record.instances.pop(slot).expires_s for slot in silent)
            self._become(record, _state_of(record), ended_s, SILENT)

    @staticmethod
    def _become(record: _Agent, state: Presence, at_s: float, reason: str = "") -> None:
        if state != record.state:
            record.state, record.since_s = state, at_s
            record.reason = reason if state == "offline" else ""

    def _record(self, agent: str, record: _Agent) -> AgentRecord:
        now_s, now_ns = self._now(), time.time_ns()

        def moment(at_s: float) -> str:
            return rfc3339(now_ns - int((now_s - at_s) * 1e9))

        return AgentRecord(
            agent=agent,
            state=record.state,
            since=moment(record.since_s),
            last_heard=moment(record.last_s),
            reason=record.reason,
            version=record.version,
            instances=tuple(
                InstanceRecord(heartbeat=heard.beat, heard_s_ago=round(now_s - heard.at_s, 3))
                for _, heard in sorted(record.instances.items())
            ),
        )


def _state_of(record: _Agent) -> Presence:
    states = {heard.beat.state for heard in record.instances.values()}
    if "ready" in states:
        return "ready"
    return "draining" if states else "offline"
