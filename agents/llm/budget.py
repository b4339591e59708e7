"""What a task may spend on models: reserved before a call, settled after it. No I/O, no clock.

    budget = Budget(Decimal("1.00"))
    reservation = budget.reserve(Decimal("0.03"))     # BudgetExhausted where that is more than is left
    reservation.settle(Decimal("0.012"))              # what it did cost; None where nobody knows

Money is Decimal, in US dollars. Between two awaits nothing else runs, so calls that run at the same
time cannot reserve the same cent: as long as each estimate is at least the cost, `spent` never passes
`limit`. A cost that nobody knows is unknown, not 0: what was reserved for it stays taken, and `cost` is
None from then on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, final

from .errors import BudgetExhausted

NOTHING: Final = Decimal(0)
_SHOWN: Final = Decimal("0.000001")


@final
class Budget:
    """What one task, and all that is done for it, may spend. Share the object; it is not for threads."""

    def __init__(self, limit: Decimal | None = None, *, unknown_price: Literal["refuse", "allow"] = "refuse") -> None:
        """`limit` None: all is counted, nothing is refused."""
        if limit is not None:
            _check_amount(limit)
        self.limit: Final = limit
        self.spent = NOTHING
        """Taken from the limit so far: what calls did cost, and what was reserved where that is unknown."""
        self._reserved = NOTHING
        self._is_known = True
        self._takes_unknown = limit is None or unknown_price == "allow"

    @property
    def left(self) -> Decimal | None:
        """What can still be reserved, never below 0; None without a limit."""
        return None if self.limit is None else max(self.limit - self.spent - self._reserved, NOTHING)

    @property
    def cost(self) -> Decimal | None:
        """What the calls that have ended did cost; None as soon as the cost of one is unknown."""
        return self.spent if self._is_known else None

    def reserve(self, estimate: Decimal | None, where: str = "budget") -> Reservation:
        """Take `estimate` out of what is left; None where nobody knows what the call can cost.

        `where` is the `provider/model` that an error names.

        Raises:
            BudgetExhausted: it is more than what is left; or it is unknown, and that is to be refused.
        """
        if estimate is None:
            if not self._takes_unknown:
                raise BudgetExhausted(where, "its price is not known (set price, or budget.unknown_price: allow)")
            return Reservation(self, NOTHING)
        _check_amount(estimate)
        left = self.left
        if left is not None and estimate > left:
            raise BudgetExhausted(where, f"the call can cost {_usd(estimate)} USD, {_usd(left)} are left")
        self._reserved += estimate
        return Reservation(self, estimate)

    def _settle(self, reserved: Decimal, actual: Decimal | None) -> None:
        self._reserved -= reserved
        self.spent += reserved if actual is None else actual
        self._is_known = self._is_known and actual is not None


@final
class Reservation:
    """A part of a budget that is taken for one call. Settle it however the call ends."""

    def __init__(self, budget: Budget, amount: Decimal) -> None:
        self.amount: Final = amount
        self._budget: Budget | None = budget

    def settle(self, actual: Decimal | None) -> None:
        """Replace what was reserved by what the call did cost; None: unknown. A second time changes nothing."""
        if self._budget is not None:
            self._budget._settle(self.amount, actual)  # noqa: SLF001  one thing in two parts
            self._budget = None

    def release(self) -> None:
        """The call was not made, or is known to be free."""
        self.settle(NOTHING)


def _check_amount(amount: Decimal) -> None:
    if not amount.is_finite() or amount < 0:
        raise ValueError("an amount is 0 or more")


def _usd(amount: Decimal) -> str:
    return f"{amount.quantize(_SHOWN).normalize():f}"
