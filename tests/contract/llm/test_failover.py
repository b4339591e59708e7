"""The failover table: what goes wrong, with the first model or with all of them, in both wire formats.

Each row says the cause, what the pool does, which error comes out and what it costs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

import pytest

from agents.llm import (
    AllFailed,
    Budget,
    BudgetExhausted,
    Completion,
    ContextOverflow,
    Finished,
    LlmError,
    SwitchedOver,
    TextDelta,
    UserTurn,
)
from agents.llm.errors import Cause, RequestMalformed
from schemas.agent import Price
from tests.harness.fake_llm import Cut, Fail, FailMidway, FakeLlm, Gate, Held, Raw, Say, Step, Wire
from tests.harness.llm import PROMPT, QUESTION, Opened, choice
from tests.harness.llm import opened as provider_opened

BOTH = pytest.mark.parametrize("wire", ["openai", "anthropic"])
LONG = Say("one two three four five six seven eight")
DEAR = Price(input_usd_per_million=Decimal(3), output_usd_per_million=Decimal(15))
CHEAP = Price(input_usd_per_million=Decimal(1), output_usd_per_million=Decimal(2))
ANSWERED_USD = Decimal(11 * 1 + 7 * 2) / 10**6
"""What the second model's answer costs."""
REFUSED_USD = Decimal(11 * 3 + 7 * 15) / 10**6
UNKNOWN = None


@dataclass(frozen=True)
class Row:
    """`fault` of OpenAI's and of Anthropic's wire, or of both; then what is right."""

    cause: Cause
    fault: Step | tuple[Step, Step]
    calls: int = 1
    """How often the first model is asked in all."""
    waits: tuple[float, ...] = ()
    cost: Decimal | None = Decimal(0)
    """Of each failed call; None: unknown."""
    opens: int = 0
    """How often the breaker opens."""
    is_void: bool = False
    """Some of the answer was given before it failed."""
    error: type[LlmError] = AllFailed
    retryable: bool = False
    retry_after_s: float | None = None

    def step(self, wire: Wire) -> Step:
        if isinstance(self.fault, tuple):
            return self.fault[wire == "anthropic"]
        return self.fault


RATE = Fail(429, "rate_limit_error", headers={"retry-after": "7"})
RATE_SOON = Fail(429, "rate_limit_error", headers={"retry-after": "1.5"})
UNTIL_MARCH = Fail(
    400, "invalid_request_error", headers={"date": "Sat, 28 Feb 2026 22:00:00 GMT"},
    message="You have reached your specified API usage limits. You will regain access on 2026-03-01 at 00:00 UTC.",
)  # fmt: skip
TABLE = {
    "quota": Row(
        "quota", (Fail(429, "insufficient_quota", "insufficient_quota"), Fail(402, "billing_error")), opens=1
    ),
    "quota with a date": Row("quota", UNTIL_MARCH, opens=1, retry_after_s=7200.0),
    "auth": Row("auth", Fail(401, "authentication_error"), opens=1),
    "no such model": Row("model", Fail(404, "not_found_error"), opens=1),
    "rate": Row("rate", RATE, opens=1, retryable=True, retry_after_s=7.0),
    "rate, soon over": Row("rate", RATE_SOON, 2, (1.5,), opens=2, retryable=True, retry_after_s=1.5),
    "overload": Row("overload", (Fail(503, "server_error"), Fail(529, "overloaded_error")), 2, (0.5,), retryable=True),
    "overload in the stream": Row(
        "overload", (FailMidway(LONG, Fail(0, "server_error")), FailMidway(LONG, Fail(0, "overloaded_error"))),
        2, (0.5,), UNKNOWN, is_void=True, retryable=True,
    ),
    "context": Row(
        "context",
        (
            Fail(400, "invalid_request_error", "context_length_exceeded"),
            Fail(400, "invalid_request_error", message="prompt is too long: 9 tokens > 8"),
        ),
        error=ContextOverflow,
    ),
    "policy": Row("policy", Fail(400, "invalid_request_error", "content_filter")),
    "policy, after the answer": Row(
        "policy", (Say("one two", stop="content_filter"), Say("one two", stop="refusal")), cost=REFUSED_USD, is_void=True
    ),
    "timeout": Row("timeout", (Fail(504, "timeout"), Fail(504, "timeout_error")), cost=UNKNOWN, retryable=True),
    "cut stream": Row("network", Cut(LONG), 2, (0.5,), UNKNOWN, is_void=True, retryable=True),
    "tidily cut stream": Row("network", Cut(LONG, is_tidy=True), 2, (0.5,), UNKNOWN, is_void=True, retryable=True),
    "malformed answer": Row("answer", Raw(b"data: {\n\n"), 2, (0.5,), UNKNOWN, retryable=True),
    "malformed request": Row("malformed", Fail(400, "invalid_request_error"), error=RequestMalformed),
}  # fmt: skip
ROWS = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())


def two(wire: Wire, fake: FakeLlm) -> Opened:
    """A dear model, then a cheap one at the other provider."""
    other: Wire = "anthropic" if wire == "openai" else "openai"
    return Opened(
        choice(wire, fake, "dear", price=DEAR, context_window=1000),
        choice(other, fake, "cheap", price=CHEAP, context_window=2000),
    )


@BOTH
@ROWS
async def test_first_model_fails(row: Row, wire: Wire, fake: FakeLlm) -> None:
    """The second model answers, all are told, what was given before is void, and each call costs what it did."""
    fake.script += [*[row.step(wire)] * row.calls, Say("the second")]
    budget = Budget(Decimal(1))
    given: list[TextDelta | SwitchedOver | Finished] = []
    async with two(wire, fake) as opened:
        try:
            given = [delta async for delta in opened.pool.stream(QUESTION, budget)]
        except RequestMalformed:
            assert row.error is RequestMalformed
    failed = opened.reports[: row.calls]
    assert [(report.model, report.reason, report.cost_usd) for report in failed] == [
        ("dear", row.cause, row.cost)
    ] * row.calls
    assert opened.moments.waits == [*row.waits]
    assert [where for where, state, _ in opened.states if state == "open"] == [f"{wire}/dear"] * row.opens
    if row.error is RequestMalformed:
        assert (given, len(fake.requests), budget.spent) == ([], 1, Decimal(0))
        return
    assert isinstance(given[-1], Finished)
    assert given[-1].answer.text == "the second"
    marks = [delta for delta in given if isinstance(delta, SwitchedOver)]
    assert marks[-1:] == [SwitchedOver(opened.reports[-1].provider, "cheap", row.cause)] * row.is_void
    assert opened.reports[-1].cost_usd == ANSWERED_USD
    assert budget.cost == (None if row.cost is None else row.cost + ANSWERED_USD)
    assert ANSWERED_USD <= budget.spent <= Decimal(1)
    after = given.index(marks[-1]) + 1 if marks else 0
    assert "".join(delta.text for delta in given[after:] if isinstance(delta, TextDelta)) == "the second"


@BOTH
@ROWS
async def test_all_models_fail(row: Row, wire: Wire, fake: FakeLlm) -> None:
    """The error has each model's cause, says whether and when to try again, and nothing is left reserved."""
    other: Wire = "anthropic" if wire == "openai" else "openai"
    asked = [wire] if row.error is RequestMalformed else [wire, other]
    fake.script += [row.step(at) for at in asked for _ in range(row.calls)]
    budget = Budget(Decimal(1))
    async with two(wire, fake) as opened:
        with pytest.raises(LlmError) as caught:
            await opened.pool.complete(QUESTION, budget)
    error = caught.value
    assert type(error) is row.error
    assert (error.retryable, error.retry_after_s) == (row.retryable, row.retry_after_s)
    if isinstance(error, AllFailed):
        assert [(failure.cause, failure.where) for failure in error.failures] == [
            (row.cause, f"{wire}/dear"),
            (row.cause, f"{other}/cheap"),
        ]
    assert len(fake.requests) == len(asked) * row.calls == len(opened.reports)
    assert {report.reason for report in opened.reports} == {row.cause}
    assert fake.script == []
    assert (budget.cost is None) == (row.cost is None)
    assert budget.left == Decimal(1) - budget.spent
    assert (budget.spent > 0) == (row.cost != 0)


@BOTH
async def test_silence_is_a_timeout_and_its_request_is_dropped(wire: Wire, fake: FakeLlm) -> None:
    """A model that says nothing in its time is left, its request closed, its cost unknown; the next one answers."""
    gate = Gate()
    fake.script.append(Held(LONG, gate))
    budget = Budget(Decimal(1))
    silent = choice(wire, fake, price=DEAR)
    hello = Completion(system=PROMPT, turns=(UserTurn(text="hello"),), timeout_s=0.3)
    async with Opened(silent, silent.model_copy(update={"provider": "offline", "api_key": None})) as opened:
        assert (await opened.pool.complete(hello, budget)).model == "offline"
    assert opened.outcomes() == [(wire, "failure", "timeout"), ("offline", "success", "")]
    assert budget.cost is None
    assert budget.spent > 0


async def test_overflow_is_the_callers_first(fake: FakeLlm) -> None:
    """Who can compact is told of the overflow at once; who cannot gets a model with a larger window, not a smaller."""
    overflow = Fail(400, "invalid_request_error", "context_length_exceeded")
    models = [choice("openai", fake, name, context_window=size) for name, size in (("a", 9), ("b", 8), ("c", 10))]
    fake.script += [overflow, overflow, Say("it fits")]
    async with Opened(*models) as opened:
        with pytest.raises(ContextOverflow):
            await opened.pool.complete(QUESTION, can_compact=True)
        assert (await opened.pool.complete(QUESTION)).text == "it fits"
    assert [request.body["model"] for request in fake.requests] == ["a", "a", "c"]


async def test_what_is_too_dear_goes_to_a_cheaper_model(fake: FakeLlm) -> None:
    """A model that the rest of the budget cannot pay is not asked; where none is left, the budget is the error."""
    fake.default = Say("cheap enough")
    async with two("openai", fake) as opened:
        answer = await opened.pool.complete(QUESTION, Budget(Decimal("0.003")))
        assert answer.text == "cheap enough"
        with pytest.raises(BudgetExhausted, match="anthropic/cheap: the call can cost"):
            await opened.pool.complete(QUESTION, Budget(Decimal("0.000001")))
    assert [request.body["model"] for request in fake.requests] == ["cheap"]


async def test_breaker_leaves_a_model_alone_and_a_probe_brings_it_back(fake: FakeLlm) -> None:
    """After five failures it is not asked; its list of models is, now and then; when that comes, it is tried."""
    fake.default = Fail(500, "server_error")
    async with Opened(choice("openai", fake, price=DEAR)) as opened:
        pool, moments = opened.pool, opened.moments
        for _ in range(3):  # two calls each
            with pytest.raises(AllFailed):
                await pool.complete(QUESTION)
        assert opened.states == [("openai/m-1", "open", "overload")]
        assert len(fake.requests) == 5
        fake.probe_script.append(Fail(503, "server_error"))
        await _refused(opened, fake, probes=1)
        await _refused(opened, fake, probes=1)  # it was looked at a moment ago
        moments.now_s += 10
        await _refused(opened, fake, probes=2)
        fake.default = Say("back")
        for _ in range(2):
            assert (await pool.complete(QUESTION)).text == "back"
    assert [state for _, state, _ in opened.states] == ["open", "half-open", "closed"]
    assert [request.path.split("?")[0] for request in fake.probes] == ["/v1/models"] * 2


async def _refused(opened: Opened, fake: FakeLlm, *, probes: int) -> None:
    with pytest.raises(AllFailed, match="overload: openai/m-1: not asked for") as caught:
        await opened.pool.complete(QUESTION)
    assert caught.value.retryable
    await asyncio.gather(*opened.pool.probes)
    assert (len(fake.requests), len(fake.probes)) == (5, probes)


@BOTH
async def test_probe_costs_nothing_and_tells_the_cause(wire: Wire, fake: FakeLlm) -> None:
    """The look at a provider sends no question; a provider that is away, or refuses the key, says so."""
    fake.probe_script += [Fail(503, "overloaded_error"), Fail(401, "authentication_error")]
    async with provider_opened(wire, fake) as asked:
        for cause in ("overload", "auth"):
            with pytest.raises(LlmError) as caught:
                await asked.probe(20)
            assert caught.value.cause == cause
        await asked.probe(20)
    assert fake.requests == []


async def test_same_model_at_one_account_has_one_breaker(fake: FakeLlm) -> None:
    """A choice that stands twice in the pool is not asked twice with a wrong key; another account is."""
    same = choice("openai", fake)
    fake.script += [Fail(401), Say("hi")]
    async with Opened(same, same.model_copy(update={"max_tokens": 9}), choice("openai", fake, "other")) as opened:
        assert (await opened.pool.complete(QUESTION)).text == "hi"
    assert [request.body["model"] for request in fake.requests] == ["m-1", "other"]


async def test_concurrent_tasks_never_pass_one_limit(fake: FakeLlm) -> None:
    """Fifty tasks with one budget: what they did cost together is at most the limit, and all of it is accounted for."""
    fake.default = Say("hi", input_tokens=40, output_tokens=100)
    priced = choice("openai", fake, price=DEAR, max_tokens=100)
    budget = Budget(Decimal("0.02"))

    async def task() -> bool:
        for _ in range(3):
            try:
                await opened.pool.complete(QUESTION, budget)
            except BudgetExhausted:
                return False
        return True

    async with Opened(priced) as opened:
        done = await asyncio.gather(*(task() for _ in range(50)))
    each = Decimal(40 * 3 + 100 * 15) / 10**6
    assert 0 < len(fake.requests) == budget.spent / each
    assert budget.spent <= Decimal("0.02")
    assert budget.spent + 2 * each > Decimal("0.02")  # and no more was refused than had to be
    assert False in done
