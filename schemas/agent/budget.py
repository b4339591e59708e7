"""What one task may spend: money, turns of the model, calls of tools."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from schemas.documents import Document


class BudgetLimits(Document):
    """The limits of one task. What a caller passes on can lower them, never raise them."""

    max_cost_per_task_usd: Decimal | None = Field(
        None, gt=0, allow_inf_nan=False, description="what the models may cost for one task; no limit without it"
    )
    # Counted by the loop: this is the one limit of turns; there is no limits.max_tool_rounds beside it.
    max_iterations: int = Field(10, ge=1, description="turns of the model that may end in tool calls")
    # Counted by the loop, over all turns of one task.
    max_tool_calls: int | None = Field(None, ge=1, description="calls of tools for one task; no limit without it")
    unknown_price: Literal["refuse", "allow"] = Field(
        "refuse", description="what becomes of a model whose price is not known, where there is a limit of cost"
    )
