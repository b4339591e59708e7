"""What may be changed of a stream that exists."""

from __future__ import annotations

from typing import Any

import pytest

from bus.provision.widening import lacks_bound, widened

WANTED = {
    "name": "S",
    "subjects": ["a", "b"],
    "max_bytes": 100,
    "max_age": 50,
    "deny_delete": True,
    "allow_msg_ttl": True,
}

ONLY_ADDS: list[dict[str, Any]] = [{"allow_msg_ttl": False}, {"subjects": ["b"]}, {"max_bytes": 99}]
ONLY_ADDS.append(ONLY_ADDS[0] | ONLY_ADDS[1] | ONLY_ADDS[2])
MAY_LOSE: list[dict[str, Any]] = [
    {"subjects": ["a", "c"]}, {"subjects": ["a", "b", "c"]}, {"max_bytes": 101}, {"max_bytes": -1}, {"max_age": 60},
    {"max_age": 0}, {"deny_delete": False}, {"deny_delete": False, "allow_msg_ttl": False},
]  # fmt: skip


@pytest.mark.parametrize("found", ONLY_ADDS, ids=str)
def test_what_only_adds_is_changed(found: dict[str, Any]) -> None:
    """Messages with a time of their own allowed, more subjects, more room: each field that differs, and no other."""
    assert widened(WANTED, WANTED | found) == {key: WANTED[key] for key in found}


@pytest.mark.parametrize("found", [{}, *MAY_LOSE], ids=str)
def test_what_may_lose_something_is_not(found: dict[str, Any]) -> None:
    """Any other difference is for a person to look at, also beside one that only adds."""
    assert widened(WANTED, WANTED | found) == {}


BOUNDED = WANTED | {"max_msgs_per_subject": 100, "discard_new_per_subject": True}
UNBOUNDED = WANTED | {"max_msgs_per_subject": -1}


@pytest.mark.parametrize("most", [0, 50])
def test_a_bound_that_exceeds_every_subject_by_far_is_added(most: int) -> None:
    """It refuses what is new and is not reached by what is stored; beside it, what only adds is changed as well."""
    bound = {"max_msgs_per_subject": 100, "discard_new_per_subject": True}
    assert lacks_bound(BOUNDED, UNBOUNDED)
    assert widened(BOUNDED, UNBOUNDED, most) == bound
    assert widened(BOUNDED, UNBOUNDED | {"max_bytes": 99}, most) == bound | {"max_bytes": 100}
    assert widened(BOUNDED, UNBOUNDED | {"max_age": 60}, most) == {}


@pytest.mark.parametrize("most", [None, 51, 1000])
def test_a_bound_that_may_drop_something_is_not(most: int | None) -> None:
    """The server drops what is over it, and messages may come between the look and the change; the unknown is no less."""
    assert widened(BOUNDED, UNBOUNDED, most) == {}


@pytest.mark.parametrize(("found", "changed"), [(99, {"max_msgs_per_subject": 100}), (100, {}), (101, {})])
def test_a_bound_is_raised_and_never_lowered(found: int, changed: dict[str, int]) -> None:
    """More messages of a subject only add; fewer could lose some, however few there are now."""
    there = BOUNDED | {"max_msgs_per_subject": found}
    assert not lacks_bound(BOUNDED, there)
    assert widened(BOUNDED, there, 0) == changed


def test_a_bound_that_makes_room_is_not_added() -> None:
    """One that drops the oldest would let go earlier what is stored."""
    wanted = WANTED | {"max_msgs_per_subject": 100}
    assert not lacks_bound(wanted, UNBOUNDED)
    assert widened(wanted, UNBOUNDED, 0) == {}
