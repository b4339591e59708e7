"""The breaker of a model: its states, by cause, on a clock that the test moves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm import errors
from agents.llm.errors import LlmError
from agents.llm.pool.circuit import Circuit, Pass
from agents.llm.pool.failover import BACKOFF_S, Clock, Failover
from agents.llm.pool.rules import LONGEST_WAIT_S, RULES
from schemas.agent import Breaker

NOT_OF_A_MODEL = {"rounds", "all"}


class Stage:
    """A circuit, its clock, and what it told."""

    def __init__(self, **settings: float) -> None:
        self.now = 100.0
        self.told: list[tuple[str, str]] = []
        self.circuit = Circuit(
            Breaker.model_validate(settings), lambda: self.now, lambda state, cause: self.told.append((state, cause))
        )

    def state(self) -> str:
        return self.circuit.state

    def enter(self) -> Pass:
        entered = self.circuit.enter()
        assert entered is not None
        return entered

    def fail(self, *errors: LlmError) -> None:
        for error in errors:
            self.enter().failed(error)

    def answer(self, times: int = 1) -> None:
        for _ in range(times):
            self.enter().answered()


def overload() -> LlmError:
    return errors.Overloaded("p/m", "HTTP 500")


def test_five_failures_in_a_row_open_it_and_two_answers_close_it() -> None:
    """Closed, open after five, half-open after a minute, closed after two answers."""
    stage = Stage()
    stage.fail(*[overload()] * 4)
    stage.answer()  # forgets them
    stage.fail(*[overload()] * 4)
    assert stage.state() == "closed"
    stage.fail(overload())
    assert (stage.state(), stage.circuit.left_s) == ("open", 60.0)
    stage.now += 59.9
    assert stage.circuit.enter() is None
    stage.now += 0.1
    stage.answer()
    assert stage.state() == "half-open"
    stage.answer()
    assert stage.told == [("open", "overload"), ("half-open", "overload"), ("closed", "overload")]


def test_half_open_lets_one_call_through_at_a_time() -> None:
    """While one call tries the model, others are refused; a failure of that one opens it again, one left does not."""
    stage = Stage(failures=1)
    stage.fail(overload())
    stage.now += 60
    trial = stage.enter()
    assert stage.circuit.enter() is None
    trial.left()
    trial = stage.enter()
    trial.failed(overload())
    assert (stage.state(), stage.circuit.left_s) == ("open", 60.0)


def test_calls_from_before_do_not_count_while_it_is_not_closed() -> None:
    """Only the call that tries the model decides: neither answers nor failures of older ones."""
    stage = Stage(failures=1)
    old, older = stage.enter(), stage.enter()
    stage.fail(overload())
    old.answered()
    assert stage.state() == "open"
    stage.now += 60
    stage.answer()
    older.failed(overload())
    assert stage.state() == "half-open"


@pytest.mark.parametrize(
    ("error", "left_s", "after"),
    [
        (errors.KeyRefused("p/m", "HTTP 401"), math.inf, None),
        (errors.ModelUnknown("p/m", "HTTP 404"), math.inf, None),
        (errors.QuotaExhausted("p/m", "HTTP 402"), 3600.0, "half-open"),
        (errors.QuotaExhausted("p/m", "HTTP 402", retry_after_s=90000.0), 90000.0, "half-open"),
        (errors.RateExceeded("p/m", "HTTP 429"), 5.0, "closed"),
        (errors.RateExceeded("p/m", "HTTP 429", retry_after_s=30.0), 30.0, "closed"),
    ],
    ids=lambda value: value.cause if isinstance(value, LlmError) else str(value),
)
def test_some_causes_open_it_at_once(error: LlmError, left_s: float, after: str | None) -> None:
    """A wrong key for good, an empty account until the day that is stated, a rate for as long as is asked for."""
    stage = Stage()
    stage.fail(error)
    assert (stage.state(), stage.circuit.left_s) == ("open", left_s)
    refusal = stage.circuit.refusal("p/m")
    assert type(refusal) is type(error)
    assert refusal.retry_after_s == (None if left_s == math.inf else left_s)
    assert "not asked" in str(refusal)
    stage.now += 10**6
    assert (stage.circuit.enter() is None) == (after is None)
    assert stage.state() == (after or "open")


def test_a_longer_time_stays_when_a_shorter_one_comes() -> None:
    """A call that began before cannot shorten what the provider asked for."""
    stage = Stage()
    late = stage.enter()
    stage.fail(errors.RateExceeded("p/m", "HTTP 429", retry_after_s=30.0))
    late.failed(errors.RateExceeded("p/m", "HTTP 429", retry_after_s=1.0))
    assert stage.circuit.left_s == 30.0


@pytest.mark.parametrize("cause", [cause for cause, rule in RULES.items() if rule.breaker == "nothing"])
def test_what_says_nothing_of_the_model_counts_as_an_answer(cause: str) -> None:
    """A conversation too long, a forbidden topic, a wrong request: the model is there."""
    kinds = {kind.cause: kind for kind in LlmError.__subclasses__()}
    stage = Stage(failures=2)
    stage.fail(overload(), kinds[cause]("p/m", "told"), overload())  # type: ignore[index]  # a Cause
    assert stage.state() == "closed"


def test_breaker_can_be_turned_off() -> None:
    """With 0 failures nothing that counts opens it; what a provider asks for still does."""
    stage = Stage(failures=0)
    stage.fail(*[overload()] * 50)
    assert stage.state() == "closed"
    stage.fail(errors.RateExceeded("p/m", "HTTP 429"))
    assert stage.state() == "open"


def test_a_probe_ends_the_time_of_one_that_was_away_and_of_no_other() -> None:
    """A provider that answers a look at it may be tried; a wrong key or a spent account is not cured by that."""
    stage = Stage(failures=1)
    stage.fail(overload())
    assert stage.circuit.can_be_probed
    stage.circuit.probed()
    stage.answer()
    assert stage.state() == "half-open"
    spent = Stage()
    spent.fail(errors.QuotaExhausted("p/m", "HTTP 402"))
    assert not spent.circuit.can_be_probed


def test_the_table_has_a_row_for_each_cause() -> None:
    """Nothing that a model can fail with is without a rule."""
    causes = {kind.cause for kind in LlmError.__subclasses__()}
    assert set(RULES) == causes - NOT_OF_A_MODEL


@given(
    st.sampled_from([kind for kind in LlmError.__subclasses__() if kind.cause in RULES]),
    st.none() | st.floats(0, 1e6),
    st.integers(1, 5),
    st.floats(0, 100),
    st.floats(0, 1),
)
def test_waits_are_bounded(
    kind: type[LlmError], stated_s: float | None, tries: int, left_s: float, chance: float
) -> None:
    """Nobody waits past the deadline, past the bound, or for a model that the table does not ask again."""
    error = kind("p/m", "told", retry_after_s=stated_s)
    wait_s = Failover(clock=Clock(random=lambda: chance)).wait_s(error, tries, left_s)
    if wait_s is not None:
        assert tries <= RULES[kind.cause].tries_again
        assert 0 <= wait_s <= LONGEST_WAIT_S
        assert wait_s < left_s
        assert wait_s == (BACKOFF_S * chance if stated_s is None else stated_s)
