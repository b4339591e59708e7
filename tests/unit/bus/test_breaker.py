"""The circuit breaker's table: what opens it, what it refuses, what closes it. The clock is the test's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from bus.requests.breaker import NEVER, Attempt, BreakerRules, Breakers, State
from schemas.errors import (
    A2AError,
    DeadlineExceeded,
    Internal,
    InvalidAgentResponse,
    InvalidArgument,
    LoopDetected,
    PayloadTooLarge,
    PermissionDenied,
    RateLimited,
    TaskNotFound,
    Unavailable,
)


@dataclass
class Setting:
    """Breakers with a clock and a connection that the test moves."""

    rules: BreakerRules = field(default_factory=BreakerRules)
    at_s: float = 1000.0
    is_connected: bool = True
    reconnects: int = 0
    told: list[tuple[str, State, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breakers = Breakers(self.rules, self, lambda *change: self.told.append(change), lambda: self.at_s)

    def fail(self, error: BaseException | None = None, agent: str = "greeter") -> None:
        """One attempt that ends with an error."""
        error = error or Unavailable("away")
        with pytest.raises(type(error)), self.breakers.attempt(agent):
            raise error

    def succeed(self, agent: str = "greeter") -> None:
        """One attempt that is answered."""
        with self.breakers.attempt(agent):
            pass

    def refused_for(self, agent: str = "greeter") -> str:
        """When the breaker says to come back."""
        with pytest.raises(Unavailable) as refusal:
            self.breakers.attempt(agent)
        assert refusal.value.metadata["agent"] == agent
        return refusal.value.metadata["retry_after_s"]

    def opened(self) -> Setting:
        """With an open breaker of the greeter."""
        for _ in range(5):
            self.fail()
        assert self.breakers.state("greeter") == "open"
        return self


@pytest.mark.parametrize("error", [Unavailable, DeadlineExceeded, Internal, InvalidAgentResponse])
def test_five_failures_in_a_row_open_it_for_a_minute(error: type[A2AError]) -> None:
    """The fifth failure opens it: refused at once with the time that is left, and other agents are asked as before."""
    setting = Setting()
    for _ in range(4):
        setting.fail(error("x"))
        assert setting.breakers.state("greeter") == "closed"
    setting.fail(error("x"))
    assert setting.told == [("greeter", "open", error.reason)]
    assert setting.refused_for() == "60"
    setting.at_s += 59
    assert setting.refused_for() == "1"
    setting.succeed("textstats")


def test_an_answer_in_between_begins_the_count_anew() -> None:
    """Five failures count only in a row."""
    setting = Setting()
    for _ in range(3):
        for _ in range(4):
            setting.fail()
        setting.succeed()
    assert setting.breakers.state("greeter") == "closed"
    assert not setting.breakers._of


@pytest.mark.parametrize(
    "error",
    [InvalidArgument("x"), TaskNotFound("x"), RateLimited("x"), LoopDetected("x"), PermissionDenied("x"),
     PayloadTooLarge("x"), asyncio.CancelledError(), KeyError("a defect of the caller's")],
)  # fmt: skip
def test_the_callers_own_faults_never_open_it(error: BaseException) -> None:
    """What the caller did wrong, or gave up, says nothing against the agent."""
    setting = Setting()
    for _ in range(20):
        setting.fail(error)
    assert setting.breakers.state("greeter") == "closed"


def test_one_is_let_through_and_two_answers_close_it() -> None:
    """After a minute one attempt at a time; the first answer keeps it half-open, the second closes it."""
    setting = Setting().opened()
    setting.at_s += 60
    probe = setting.breakers.attempt("greeter")
    assert setting.breakers.state("greeter") == "half-open"
    assert setting.refused_for() == "1"
    probe.answered()
    assert setting.breakers.state("greeter") == "half-open"
    setting.succeed()
    assert setting.breakers.state("greeter") == "closed"
    assert [state for _, state, _ in setting.told] == ["open", "half-open", "closed"]
    assert not setting.breakers._of


def test_a_probe_that_fails_opens_it_for_another_minute() -> None:
    """Half-open, one failure is enough, also after one answer."""
    setting = Setting().opened()
    setting.at_s += 60
    setting.succeed()
    setting.fail()
    assert setting.refused_for() == "60"


def test_a_probe_without_a_result_is_given_to_the_next() -> None:
    """A probe that is cancelled, or never left the caller, holds nobody up; the caller's own error is an answer."""
    setting = Setting().opened()
    setting.at_s += 60
    setting.fail(asyncio.CancelledError())
    setting.fail(PermissionDenied("x"))
    setting.fail(InvalidArgument("the agent says so"))
    setting.fail(InvalidArgument("the agent says so"))
    assert setting.breakers.state("greeter") == "closed"


def test_attempts_that_began_before_do_not_count_while_it_is_half_open() -> None:
    """A late failure does not open it again, a late answer does not close it: only the probe decides."""
    setting = Setting()
    late: list[Attempt] = [setting.breakers.attempt("greeter") for _ in range(4)]
    setting.opened().at_s += 60
    probe = setting.breakers.attempt("greeter")
    for attempt in late[:2]:
        attempt.answered()
    with pytest.raises(Unavailable), late[2]:
        raise Unavailable("late")
    assert setting.breakers.state("greeter") == "half-open"
    assert setting.refused_for() == "1"
    probe.answered()
    setting.succeed()
    assert setting.breakers.state("greeter") == "closed"


def test_an_outage_of_the_callers_own_connection_is_no_agents_failure() -> None:
    """While the server is away, and for what was under way when it came back, nothing is counted."""
    setting = Setting()
    under_way = [setting.breakers.attempt("greeter") for _ in range(10)]
    setting.is_connected = False
    for _ in range(10):
        setting.fail()
    setting.is_connected, setting.reconnects = True, 1
    for attempt in under_way:
        with pytest.raises(DeadlineExceeded), attempt:
            raise DeadlineExceeded("lost")
    assert setting.breakers.state("greeter") == "closed"


def test_an_attempt_counts_once() -> None:
    """A stream that was answered and fails later is no failure."""
    setting = Setting()
    for _ in range(10):
        attempt = setting.breakers.attempt("greeter")
        attempt.answered()
        with pytest.raises(Unavailable), attempt:
            raise Unavailable("in the middle")
    assert setting.breakers.state("greeter") == "closed"


def test_it_can_be_off_and_forgets_the_oldest() -> None:
    """With `NEVER` nothing opens; memory is bounded whoever fails."""
    setting = Setting(NEVER)
    for _ in range(100):
        setting.fail()
    for number in range(3000):
        setting.fail(agent=f"a{number}")
    assert setting.told == []
    assert len(setting.breakers._of) <= 1024
