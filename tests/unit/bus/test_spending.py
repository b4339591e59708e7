"""The account of one piece of work, and the shares that its requests take: no I/O."""

from __future__ import annotations

from contextvars import copy_context
from decimal import Decimal
from typing import Any

import pytest

from agents.llm import Budget
from bus.requests import spending
from schemas import a2a, names
from schemas.errors import DeadlineExceeded, InvalidArgument, Unavailable
from schemas.usage import USAGE_KEY, Chain, Usage, amount_of, amount_text

ONE = Decimal(1)
ASKED = a2a.SendMessageRequest(message=a2a.Message(message_id="1", role="ROLE_USER", parts=()))


def _entered(limit: Decimal | None = ONE) -> spending.Account:
    account = spending.Account(Budget(limit))
    spending.enter(account)
    return account


def _answer(told: dict[str, Any] | None) -> a2a.SendMessageResponse:
    metadata = {} if told is None else {USAGE_KEY: told}
    return a2a.SendMessageResponse(message=a2a.Message(message_id="2", role="ROLE_AGENT", parts=(), metadata=metadata))


def _failed(told: str) -> Unavailable:
    error = Unavailable("failed after all")
    error.metadata = {USAGE_KEY: told}
    return error


def _left(account: spending.Account) -> Decimal:
    assert account.purse.left is not None
    return account.purse.left


@pytest.fixture(autouse=True)
def _of_its_own(request: pytest.FixtureRequest) -> None:
    """Each test has a context of its own: what it enters ends with it."""
    run = request.node.obj
    request.node.obj = lambda **arguments: copy_context().run(run, **arguments)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "NaN", "inf", "1,5", " 1", "1.", ".5", "1.0000000001", "٣", "1\n"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Plain decimal text alone: another reading would let too much be spent."""
    with pytest.raises(InvalidArgument, match="is no amount"):
        amount_of(text, "header")


@pytest.mark.parametrize("text", ["0", "1", "0.25", "999999999.999999999"])
def test_an_amount_reads_back(text: str) -> None:
    """What is written is what was meant."""
    assert amount_text(amount_of(text, "header")) == text


def test_an_amount_is_rounded_down() -> None:
    """The receiver never has more than was set aside."""
    assert amount_text(Decimal("0.0000000019")) == "0.000000001"


def test_requests_at_the_same_time_share_what_is_left() -> None:
    """Each takes half of what is left before it is sent: together never more than there is."""
    account = _entered()
    shares = spending.Shares()
    with shares.of("a", "SendMessage", ASKED) as one, shares.of("b", "SendMessage", ASKED) as two:
        assert (one.headers(), two.headers()) == ({names.BUDGET: "0.5"}, {names.BUDGET: "0.25"})
        assert _left(account) == Decimal("0.25")
        one.answered(_answer({"cost_usd": 0.1}))
        two.answered(_answer(None))
    assert _left(account) == Decimal("0.9")
    assert account.usage.chain == Chain(requests=1, cost_usd=Decimal("0.1"))


def test_an_amount_of_its_own_is_never_more_than_is_left() -> None:
    """Whoever names an amount gets at most what there is."""
    _entered()
    with spending.allotted(Decimal(5)), spending.Shares().of("a", "SendMessage", ASKED) as share:
        assert share.headers() == {names.BUDGET: "1"}


def test_without_a_limit_nothing_is_carried_and_all_is_counted() -> None:
    """The other agent's own limit counts."""
    account = _entered(None)
    with spending.Shares().of("a", "SendMessage", ASKED) as share:
        assert share.headers() == {}
        share.answered(_answer({"cost_usd": 0.1, "input_tokens": 5, "chain": {"requests": 1, "cost_usd": 0.2}}))
    assert account.usage.chain == Chain(requests=2, input_tokens=5, cost_usd=Decimal("0.3"))


def test_more_than_it_was_given_is_told_and_not_taken() -> None:
    """An agent cannot empty the purse of the one who asked it by what it says."""
    account = _entered()
    with spending.Shares().of("a", "SendMessage", ASKED) as share:
        share.answered(_answer({"cost_usd": 700}))
    assert _left(account) == Decimal("0.5")
    assert account.usage.chain.cost_usd == Decimal(700)


@pytest.mark.parametrize(
    "told",
    [
        {"cost_usd": None},
        {"cost_usd": -1},
        {"cost_usd": "NaN"},
        {"cost_usd": 1e300},
        {"cost_usd": "much"},
        {"chain": {"requests": -1}},
        {"chain": 5},
        [],
        "x",
        {"counted_usd": "Infinity"},
    ],
)
def test_a_cost_that_makes_no_sense_is_unknown(told: Any) -> None:
    """Unknown is not 0: what the request was given stays taken."""
    account = _entered()
    with spending.Shares().of("a", "SendMessage", ASKED) as share:
        share.answered(_answer(told))
    assert _left(account) == Decimal("0.5")
    assert account.usage.chain.cost_usd is None
    assert account.metadata()[USAGE_KEY]["counted_usd"] == 0.5


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (Unavailable("nobody"), "1"),
        (DeadlineExceeded("late"), "0.5"),
        (_failed('{"cost_usd": 0.2}'), "0.8"),
        (_failed("{"), "0.5"),
        (ValueError("cancelled, or a defect"), "0.5"),
    ],
)
def test_an_error_costs_what_it_tells(error: Exception, left: str) -> None:
    """Refused before it was begun: nothing. Not heard of: unknown."""
    account = _entered()
    with pytest.raises(type(error)), spending.Shares().of("a", "SendMessage", ASKED):
        raise error
    assert _left(account) == Decimal(left)


def test_a_task_that_goes_on_is_counted_once() -> None:
    """A task tells its whole cost each time it waits or ends: only what is new is taken."""
    account = _entered()
    shares = spending.Shares()
    for state, cost in ((a2a.INPUT_REQUIRED, 0.1), (a2a.COMPLETED, 0.3)):
        status = a2a.TaskStatus(state=state)
        task = a2a.Task(id="t", status=status, metadata={USAGE_KEY: {"cost_usd": cost}})
        with shares.of("a", "SendMessage", ASKED) as share:
            share.answered(a2a.SendMessageResponse(task=task))
    assert _left(account) == Decimal("0.7")
    assert account.usage.chain.cost_usd == Decimal("0.3")


def test_a_task_that_works_on_keeps_its_share() -> None:
    """Nobody knows yet what it will cost."""
    account = _entered()
    task = a2a.Task(id="t", status=a2a.TaskStatus(state=a2a.WORKING))
    with spending.Shares().of("a", "SendMessage", ASKED) as share:
        share.answered(a2a.SendMessageResponse(task=task))
    assert _left(account) == Decimal("0.5")


def test_looking_at_tasks_costs_nothing() -> None:
    """Only what makes work takes a share."""
    account = _entered()
    with spending.Shares().of("a", "GetTask", a2a.GetTaskRequest(id="t")) as share:
        assert share.headers() == {}
    assert _left(account) == ONE


def test_usage_survives_the_wire() -> None:
    """Numbers of JSON read back as the exact amounts."""
    usage = Usage(
        input_tokens=11, output_tokens=None, cost_usd=Decimal("0.1"), model="m",
        chain=Chain(requests=1, cost_usd=Decimal("0.000000001")),
    )  # fmt: skip
    assert Usage.told_in({USAGE_KEY: usage.as_json()}) == usage


def test_what_earlier_runs_spent_is_told_again() -> None:
    """A task's cost is that of all its runs."""
    earlier = Usage(input_tokens=1, cost_usd=Decimal("0.1"), model="m")
    account = spending.Account(Budget(ONE), earlier)
    account.used(Usage(input_tokens=2, cost_usd=Decimal("0.2"), model="n"))
    assert account.usage == Usage(input_tokens=3, cost_usd=Decimal("0.3"), model="n")
