"""Who is online, by a clock of the test."""

from __future__ import annotations

import msgspec
import pytest

from agents.directory.records import AgentRecord, FindInput, SkillRecord
from agents.directory.roll import LEFT, SILENT, Roll
from agents.directory.skills import matches
from schemas.errors import InvalidArgument
from schemas.heartbeat import Heartbeat, State, read_heartbeat


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _beat(instance: str = "one", state: State = "ready", slot: str = "0", interval_s: float = 30) -> Heartbeat:
    return Heartbeat(
        instance=instance, started="2026-01-02T03:04:05.678Z", state=state, slot=slot, interval_s=interval_s,
        version="1.0.0",
    )  # fmt: skip


def _only(roll: Roll) -> AgentRecord:
    (record,) = roll.records()
    return record


@pytest.mark.parametrize("interval_s", [0.5, 30.0])
def test_three_missed_heartbeats_are_offline(interval_s: float) -> None:
    """An instance is online until the third heartbeat after its last is missing, by its own interval."""
    clock = Clock()
    roll = Roll(clock)
    roll.heard("greeter", _beat(interval_s=interval_s))
    clock.now += 2.99 * interval_s
    assert _only(roll).state == "ready"
    clock.now += 0.02 * interval_s
    assert (_only(roll).state, _only(roll).reason, _only(roll).instances) == ("offline", SILENT, ())


def test_each_heartbeat_counts_from_anew() -> None:
    """An instance that goes on is never offline, and `since` stays its beginning."""
    clock = Clock()
    roll = Roll(clock)
    for _ in range(10):
        roll.heard("greeter", _beat())
        clock.now += 60
    record = _only(roll)
    assert record.state == "ready"
    assert roll._agents["greeter"].since_s == 1000.0


def test_an_instance_that_leaves_is_gone_at_once() -> None:
    """The last heartbeat takes its instance away without waiting; draining is a state of its own before."""
    roll = Roll(Clock())
    roll.heard("greeter", _beat())
    roll.heard("greeter", _beat(state="draining"))
    assert _only(roll).state == "draining"
    roll.heard("greeter", _beat(state="leaving"))
    assert (_only(roll).state, _only(roll).reason) == ("offline", LEFT)


def test_instances_are_counted_by_slot() -> None:
    """Two slots are two instances; the agent is ready while one is; a new instance in a slot replaces the old."""
    roll = Roll(Clock())
    roll.heard("greeter", _beat("one"))
    roll.heard("greeter", _beat("two", slot="1"))
    assert len(_only(roll).instances) == 2
    roll.heard("greeter", _beat("two", "draining", slot="1"))
    assert _only(roll).state == "ready"
    roll.heard("greeter", _beat("three", slot="1"))
    assert [instance.heartbeat.instance for instance in _only(roll).instances] == ["one", "three"]


def test_a_late_farewell_ends_nobody_else() -> None:
    """The last heartbeat of an old instance that arrives after the first of its successor changes nothing."""
    roll = Roll(Clock())
    roll.heard("greeter", _beat("new"))
    roll.heard("greeter", _beat("old", "leaving"))
    assert _only(roll).state == "ready"


def test_agents_do_not_touch_each_other() -> None:
    """What one agent says changes its own record only."""
    roll = Roll(Clock())
    roll.heard("greeter", _beat("same"))
    roll.heard("textstats", _beat("same", "leaving"))
    assert {record.agent: record.state for record in roll.records()} == {"greeter": "ready", "textstats": "offline"}


@pytest.mark.parametrize(
    "change",
    [
        {"interval_s": 0}, {"interval_s": 1e9}, {"state": "dead"}, {"slot": "0\n"}, {"slot": "9999"},
        {"instance": "a b"}, {"instance": "x\n"}, {"running": -1}, {"version": "1" * 65}, {"started": "x" * 41},
    ],
)  # fmt: skip
def test_a_heartbeat_out_of_bounds_is_refused(change: dict[str, object]) -> None:
    """What an agent says of itself is bounded: no heartbeat lasts for ever or fills a memory."""
    plain = msgspec.to_builtins(_beat())
    assert read_heartbeat(msgspec.json.encode(plain | {"later": "field"})) == _beat()
    with pytest.raises(InvalidArgument, match="not a heartbeat"):
        read_heartbeat(msgspec.json.encode(plain | change))


COUNT = SkillRecord(id="count", name="Count", description="Counts the words of a Text.", tags=("text", "Statistics"))
STATS = AgentRecord(agent="textstats", state="offline", description="Measures.", skills=(COUNT,))


@pytest.mark.parametrize(
    ("wanted", "is_found"),
    [
        (FindInput(), True),
        (FindInput(skill="count"), True),
        (FindInput(skill="coun"), False),
        (FindInput(tag="STATISTICS"), True),
        (FindInput(tag="stat"), False),
        (FindInput(words="measures words"), True),
        (FindInput(words="measures apples"), False),
        (FindInput(skill="count", tag="text", words="textstats"), True),
        (FindInput(skill="count", tag="music"), False),
        (FindInput(online=True), False),
    ],
)
def test_all_that_is_wanted_has_to_match(wanted: FindInput, is_found: bool) -> None:
    """A skill's id and a tag match whole, words anywhere; what is not given matches; case does not matter."""
    assert matches(STATS, wanted) is is_found
