"""Models: a pool of providers behind one neutral conversation.

Importing this package imports no provider's client. A name's module is imported when the name is first used: agents
without a model have budgets too, and need nothing else of it.
"""

from typing import TYPE_CHECKING, Final

from schemas.lazy import from_modules

if TYPE_CHECKING:
    from .budget import Budget, Reservation
    from .conversation import (
        Answer,
        AssistantTurn,
        Completion,
        SystemPrompt,
        ToolCall,
        ToolResult,
        ToolSpec,
        ToolTurn,
        Turn,
        Usage,
        UserTurn,
    )
    from .deltas import Delta, Finished, PoolDelta, SwitchedOver, TextDelta
    from .errors import (
        AllFailed,
        BudgetExhausted,
        ContextOverflow,
        ExtraMissing,
        KeyMissing,
        KeyUnsafe,
        LlmError,
        PoolUnusable,
        TooManyRounds,
    )
    from .pool import CallReport, Clock, Failover, OnBreaker, OnCall, Pool
    from .providers.base import Provider, Settings
    from .secrets import Secret, resolve
    from .tools import Tool

__all__ = [
    "AllFailed",
    "Answer",
    "AssistantTurn",
    "Budget",
    "BudgetExhausted",
    "CallReport",
    "Clock",
    "Completion",
    "ContextOverflow",
    "Delta",
    "ExtraMissing",
    "Failover",
    "Finished",
    "KeyMissing",
    "KeyUnsafe",
    "LlmError",
    "OnBreaker",
    "OnCall",
    "Pool",
    "PoolDelta",
    "PoolUnusable",
    "Provider",
    "Reservation",
    "Secret",
    "Settings",
    "SwitchedOver",
    "SystemPrompt",
    "TextDelta",
    "TooManyRounds",
    "Tool",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
    "ToolTurn",
    "Turn",
    "Usage",
    "UserTurn",
    "resolve",
]

_WHERE: Final = {
    "AllFailed": "errors",
    "Answer": "conversation",
    "AssistantTurn": "conversation",
    "Budget": "budget",
    "BudgetExhausted": "errors",
    "CallReport": "pool",
    "Clock": "pool",
    "Completion": "conversation",
    "ContextOverflow": "errors",
    "Delta": "deltas",
    "ExtraMissing": "errors",
    "Failover": "pool",
    "Finished": "deltas",
    "KeyMissing": "errors",
    "KeyUnsafe": "errors",
    "LlmError": "errors",
    "OnBreaker": "pool",
    "OnCall": "pool",
    "Pool": "pool",
    "PoolDelta": "deltas",
    "PoolUnusable": "errors",
    "Provider": "providers.base",
    "Reservation": "budget",
    "Secret": "secrets",
    "Settings": "providers.base",
    "SwitchedOver": "deltas",
    "SystemPrompt": "conversation",
    "TextDelta": "deltas",
    "TooManyRounds": "errors",
    "Tool": "tools",
    "ToolCall": "conversation",
    "ToolResult": "conversation",
    "ToolSpec": "conversation",
    "ToolTurn": "conversation",
    "Turn": "conversation",
    "Usage": "conversation",
    "UserTurn": "conversation",
    "resolve": "secrets",
}

__getattr__ = from_modules(__name__, _WHERE)
