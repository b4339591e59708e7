"""The table of a conversation's states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.loop import TABLE, IllegalStep, State, Trigger, Walk
from schemas.audit_metadata import WORD


@given(st.lists(st.sampled_from(Trigger), max_size=30))
def test_an_illegal_step_raises_and_changes_nothing(triggers: list[Trigger]) -> None:
    """Whatever is tried, a walk is only ever where the table leads."""
    walk = Walk()
    for trigger in triggers:
        before = walk.state
        if (before, trigger) in TABLE:
            assert walk.step(trigger) == (before, trigger, walk.state)
            assert walk.state is TABLE[before, trigger]
        else:
            with pytest.raises(IllegalStep, match=f"{before}.*{trigger}"):
                walk.step(trigger)
            assert walk.state is before


def test_every_state_is_reached_and_left() -> None:
    """Each but the first is entered, each but the last is left, and nothing leads out of the last."""
    assert set(TABLE.values()) == set(State) - {State.START_CONVERSATION}
    assert {state for state, _ in TABLE} == set(State) - {State.END_CONVERSATION}


def test_every_trigger_is_used() -> None:
    """A trigger that moves nothing is a mistake."""
    assert {trigger for _, trigger in TABLE} == set(Trigger)


def test_whatever_happens_can_end_it() -> None:
    """From every state there is a way out for a failure, for waiting and for being cancelled."""
    for state in set(State) - {State.END_CONVERSATION}:
        for trigger in (Trigger.FAILED, Trigger.SUSPENDED, Trigger.CANCELLED):
            assert TABLE[state, trigger] is State.END_CONVERSATION


def test_states_are_words_of_the_trail() -> None:
    """What is told of a step fits into its event."""
    assert all(WORD.fits(word.value) for kind in (State, Trigger) for word in kind)
