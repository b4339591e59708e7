"""What a model's tokens cost: by the agent's file, else by the price table `genai-prices`, else nobody knows.

The table is a package of its own with a version of its own; it is never fetched at run time. What is not in
it is unknown, never 0: a server at another address has prices of its own, even for a model of the same name.

Source: genai-prices, package data of the installed version.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import structlog

from schemas.agent import ModelChoice, Price

from .conversation import Usage

FREE: Final = Decimal(0)
_MILLION: Final = 1_000_000
_log = structlog.get_logger("llm")


class Known(NamedTuple):
    """What is known of a model. `cost` gives US dollars, None where the price or one of the counts is unknown."""

    cost: Callable[[Usage], Decimal | None]
    window: int | None = None


def known_of(choice: ModelChoice) -> Known:
    """What the file and the table say. Takes half a second and 13 MB, once in a process: not for the event loop."""
    if choice.provider == "offline":
        return Known(lambda _: FREE)
    listed = _listed(choice)
    window = choice.context_window or (listed.context_window if listed else None)
    if choice.price is not None:
        return Known(_by_file(choice.price), window)
    if listed is None:
        _log.info("llm.price_unknown", provider=choice.provider, model=choice.model)
        return Known(_counted(lambda _: None), window)
    return Known(_by_table(listed), window)


def _listed(choice: ModelChoice) -> Any:
    """The table's entry; None where there is none, or no table."""
    try:
        snapshot = importlib.import_module("genai_prices.data_snapshot").get_snapshot()
    except ImportError:
        return None
    provider = None if choice.base_url and choice.provider not in _AT_ANY_ADDRESS else choice.provider
    try:
        _, model = snapshot.find_provider_model(choice.model, None, provider, None if provider else choice.base_url)
    except LookupError:
        return None
    return model


_AT_ANY_ADDRESS: Final = frozenset({"azure", "openrouter"})
"""Providers whose prices do not depend on the address."""


def _counted(cost: Callable[[Usage], Decimal | None]) -> Callable[[Usage], Decimal | None]:
    """No tokens cost nothing, uncounted ones nobody knows what; `cost` sees all others."""

    def of(usage: Usage) -> Decimal | None:
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        return cost(usage) if usage.input_tokens or usage.output_tokens else FREE

    return of


def _by_file(price: Price) -> Callable[[Usage], Decimal | None]:
    return _counted(lambda usage: _sum(usage, price.rates))


def _by_table(model: Any) -> Callable[[Usage], Decimal | None]:
    def cost(usage: Usage) -> Decimal | None:
        prices = model.get_prices(datetime.now(UTC))
        total = usage.input_tokens or 0
        rates = [_rate(getattr(prices, name, None), total) for name in _NAMES]
        for_request = getattr(prices, "requests_kcount", None) or FREE
        if rates[0] is None or rates[1] is None or not isinstance(for_request, Decimal):
            return None
        read, write = (rates[0] if rate is None else rate for rate in rates[2:])
        return _sum(usage, (rates[0], rates[1], read, write)) + for_request / 1000

    return _counted(cost)


_NAMES: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")


def _rate(price: Any, input_tokens: int) -> Decimal | None:
    """The price for this much input: from a tier's start on it holds for all tokens."""
    if price is None or isinstance(price, Decimal):
        return price
    rate: Decimal = price.base
    for tier in price.tiers:  # in ascending order
        if input_tokens > tier.start:
            rate = tier.price
    return rate


def _sum(usage: Usage, rates: tuple[Decimal, Decimal, Decimal, Decimal]) -> Decimal:
    read, write = usage.cache_read_tokens, usage.cache_write_tokens
    plain = max((usage.input_tokens or 0) - read - write, 0)
    counts = (plain, usage.output_tokens or 0, read, write)
    return sum((count * rate for count, rate in zip(counts, rates, strict=True)), FREE) / _MILLION
