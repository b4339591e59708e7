"""The conversation between a model and its tools: a table of states, and what walks it."""

from .conversation import Bounds, Conversation, OnStep, Reply, RunTool, Stepped, Sums
from .driver import MAX_RESULT_CHARS, converse
from .errors import IllegalStep, ToolTimedOut
from .table import TABLE, State, Transition, Trigger, Walk
from .told import steps_on

__all__ = [
    "MAX_RESULT_CHARS",
    "TABLE",
    "Bounds",
    "Conversation",
    "IllegalStep",
    "OnStep",
    "Reply",
    "RunTool",
    "State",
    "Stepped",
    "Sums",
    "ToolTimedOut",
    "Transition",
    "Trigger",
    "Walk",
    "converse",
    "steps_on",
]
