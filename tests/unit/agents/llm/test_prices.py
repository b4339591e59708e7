"""What a model's tokens cost: by the file, by the table, or unknown."""

from __future__ import annotations

import importlib
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm.conversation import Usage
from agents.llm.prices import known_of
from schemas.agent import ModelChoice, Price

PRICE = Price(input_usd_per_million=Decimal(3), output_usd_per_million=Decimal(15))
TOKENS = Usage(input_tokens=1000, output_tokens=100)


def choice(provider: str = "openai", model: str = "gpt-5-mini", **more: object) -> ModelChoice:
    return ModelChoice.model_validate({"provider": provider, "model": model, "api_key": "env:KEY", **more})


def test_price_of_the_file_wins() -> None:
    """What the author wrote holds, also for a model that the table knows; so does the window."""
    known = known_of(choice(price=PRICE, context_window=9))
    assert (known.cost(TOKENS), known.window) == (Decimal("0.0045"), 9)


@pytest.mark.parametrize(
    ("read", "write", "cost"),
    [(None, None, "0.0045"), ("0.3", None, "0.00342"), ("0.3", "3.75", "0.003495"), ("0", "0", "0.003")],
)
def test_cached_tokens_have_their_price_where_one_is_known(read: str | None, write: str | None, cost: str) -> None:
    """Tokens from and to the cache cost what the file says of them, else as all input does."""
    given_price = {"input_usd_per_million": 3, "output_usd_per_million": 15}
    price = Price.model_validate(
        {**given_price, "cache_read_usd_per_million": read, "cache_write_usd_per_million": write}
    )
    usage = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400, cache_write_tokens=100)
    assert known_of(choice(price=price)).cost(usage) == Decimal(cost)


@given(st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
def test_uncounted_tokens_cost_nobody_knows_what(one: int | None, other: int | None) -> None:
    """A count that is missing makes the cost unknown; no tokens at all cost nothing."""
    cost = known_of(choice(price=PRICE)).cost(Usage(input_tokens=one, output_tokens=other))
    assert (cost is None) == (one is None or other is None)
    assert (cost == 0) == (one == other == 0)


@pytest.mark.parametrize(
    "unknown",
    [
        choice(model="a-model-that-nobody-sells"),
        choice(base_url="http://127.0.0.1:8000/v1"),
        choice("anthropic", "claude-sonnet-4-5", base_url="https://gateway.example.com"),
    ],
    ids=["model", "address", "address of a known model"],
)
def test_unknown_is_unknown(unknown: ModelChoice) -> None:
    """A model that the table does not have, or a server that it does not know, has no price: None, never 0."""
    known = known_of(unknown)
    assert known.cost(TOKENS) is None
    assert known.window is None
    assert known.cost(Usage(input_tokens=0, output_tokens=0)) == 0


@pytest.mark.parametrize(
    ("listed", "provider"),
    [
        (choice(), {"provider_id": "openai"}),
        (choice("anthropic", "claude-sonnet-4-5"), {"provider_id": "anthropic"}),
        (choice(model="llama-3.3-70b-versatile", base_url="https://api.groq.com/openai/v1"), {"provider_id": "groq"}),
    ],
    ids=["openai", "anthropic", "by address"],
)
@pytest.mark.parametrize("tokens", [1000, 200_000, 200_001, 900_000])
def test_costs_are_those_of_the_table(listed: ModelChoice, provider: dict[str, str], tokens: int) -> None:
    """Input, output, cached tokens and tiers come to what the table's own sum is."""
    table = importlib.import_module("genai_prices")
    usage = {"input_tokens": tokens, "output_tokens": 77, "cache_read_tokens": 300}
    theirs = table.calc_price(table.Usage(**usage), listed.model, **provider)
    known = known_of(listed)
    assert known.cost(Usage(**usage)) == theirs.total_price
    assert theirs.total_price > 0
    assert known.window == theirs.model.context_window


def test_stand_in_is_free() -> None:
    """The built-in stand-in costs nothing, and that is known."""
    assert known_of(ModelChoice(provider="offline")).cost(TOKENS) == 0


def test_without_the_table_prices_are_unknown() -> None:
    """Where the package is not installed nothing fails: the price is unknown."""
    code = """
import sys
sys.modules["genai_prices"] = None
from agents.llm.conversation import Usage
from agents.llm.prices import known_of
from schemas.agent import ModelChoice
print(known_of(ModelChoice(provider="openai", model="gpt-5-mini", api_key="env:KEY")).cost(Usage(input_tokens=1, output_tokens=1)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "None"
