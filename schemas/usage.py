"""What an answer did cost, as its agent tells it: in the metadata of a message or a task, under `USAGE_KEY`.

    {"input_tokens": 11, "output_tokens": 7, "cost_usd": 0.000145, "model": "gpt-5-mini",
     "chain": {"requests": 2, "input_tokens": 30, "output_tokens": 9, "cost_usd": 0.0004}}

The first four are of the agent's own models, `chain` of all that it asked other agents for and that these told, in
turn. A number that nobody knows is null, never 0; then `counted_usd` says what was taken from the budget for it. An
answer without it did cost nothing. It is the word of the agent that answers, and proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final, Self

import msgspec

from .errors import UNREADABLE, InvalidArgument

USAGE_KEY: Final = "urn:agentbus:usage"
NOTHING: Final = Decimal(0)
_MOST_TOKENS: Final = 2**53 - 1
_MOST_USD: Final = Decimal(10) ** 9
SMALLEST_USD: Final = Decimal("1e-9")
_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """What other agents did for it: `requests` is how many told a cost, at whatever depth."""

    requests: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: Decimal | None = NOTHING

    def plus(self, other: Chain) -> Chain:
        """Both together; unknown as soon as one of them is."""
        return Chain(
            requests=self.requests + other.requests,
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            cost_usd=_sum(self.cost_usd, other.cost_usd),
        )


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer did cost. `model` is the one that was asked last."""

    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: Decimal | None = NOTHING
    model: str = ""
    chain: Chain = Chain()
    counted_usd: Decimal | None = None

    @property
    def total(self) -> Chain:
        """Its own and what it asked for, as one request of the one who asked it."""
        own = Chain(
            requests=1, input_tokens=self.input_tokens, output_tokens=self.output_tokens, cost_usd=self.cost_usd
        )
        return own.plus(self.chain)

    def plus(self, other: Usage) -> Usage:
        """Both together; unknown as soon as one of them is. The other one is the later one."""
        return Usage(
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            cost_usd=_sum(self.cost_usd, other.cost_usd),
            model=other.model or self.model,
            chain=self.chain.plus(other.chain),
        )

    def as_json(self) -> dict[str, Any]:
        """For metadata: what is empty is left out, amounts are numbers."""
        found: dict[str, Any] = _plain(self, ("input_tokens", "output_tokens", "cost_usd"))
        if self.model:
            found["model"] = self.model
        if self.chain != Chain():
            found["chain"] = _plain(self.chain, ("requests", "input_tokens", "output_tokens", "cost_usd"))
        if self.counted_usd is not None:
            found["counted_usd"] = float(self.counted_usd)
        return found

    @classmethod
    def told_in(cls, metadata: Mapping[str, Any]) -> Self | None:
        """What `metadata` tells; None where it tells nothing. What makes no sense is unknown.

        Never raises: the other side wrote it.
        """
        said = metadata.get(USAGE_KEY)
        if said is None:
            return None
        try:
            usage = msgspec.convert(_exact(said), cls, strict=False)
        except (*UNREADABLE, ArithmeticError, ValueError):
            return cls(input_tokens=None, output_tokens=None, cost_usd=None)
        sides = (usage, usage.chain)
        makes_sense = usage.chain.requests >= 0 and all(
            _is_count(side.input_tokens) and _is_count(side.output_tokens) and _is_amount(side.cost_usd)
            for side in sides
        )
        if not makes_sense or not _is_amount(usage.counted_usd):
            return cls(input_tokens=None, output_tokens=None, cost_usd=None)
        return usage


def amount_of(text: str, where: str) -> Decimal:
    """The US dollars that `text` names; `where` it stood is told.

    Raises:
        InvalidArgument: it is no amount.
    """
    if not _AMOUNT.fullmatch(text):
        raise InvalidArgument(
            f"{where} is no amount: send US dollars as decimal text, such as 0.25, "
            "with at most 9 digits on each side of the point"
        )
    return Decimal(text)


def amount_text(amount: Decimal) -> str:
    """US dollars as `amount_of` reads them, rounded down."""
    return f"{min(amount, _MOST_USD - SMALLEST_USD).quantize(SMALLEST_USD, ROUND_DOWN).normalize():f}"


def _exact(said: Any) -> Any:
    """Numbers of JSON as text: a Decimal of the float nearest to 0.1 is not 0.1."""
    if isinstance(said, dict):
        return {key: _exact(value) for key, value in said.items()}
    return repr(said) if isinstance(said, float) else said


def _plain(side: Chain | Usage, keys: tuple[str, ...]) -> dict[str, Any]:
    values = {key: getattr(side, key) for key in keys}
    return {key: float(value) if isinstance(value, Decimal) else value for key, value in values.items()}


def _is_count(number: int | None) -> bool:
    return number is None or 0 <= number <= _MOST_TOKENS


def _is_amount(amount: Decimal | None) -> bool:
    return amount is None or (amount.is_finite() and 0 <= amount <= _MOST_USD)


def _sum[N: (int, Decimal)](one: N | None, other: N | None) -> N | None:
    return None if one is None or other is None else one + other
