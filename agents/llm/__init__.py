"""Models: a pool of providers behind one neutral conversation.

Importing this package imports no provider's client.
"""

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
