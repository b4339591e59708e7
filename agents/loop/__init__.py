"""The conversation between a model and its tools: a table of states, and what walks it."""

from .cache import ResultCache
from .conversation import Bounds, Conversation, OnStep, Reply, Stepped, Sums
from .core import Models, RunTool, runner
from .driver import converse
from .errors import IllegalStep, NotKept
from .journal import Journal, Progress, Unkept
from .layers import ORDER, layers_of, within
from .outlet import Outlet, Unheard, Way
from .pending import Pending
from .reflection import Reflection
from .steps import Guard, Layer, ModelStep, Step, ToolStep
from .table import TABLE, State, Transition, Trigger, Walk
from .told import steps_on

__all__ = [
    "ORDER",
    "TABLE",
    "Bounds",
    "Conversation",
    "Guard",
    "IllegalStep",
    "Journal",
    "Layer",
    "ModelStep",
    "Models",
    "NotKept",
    "OnStep",
    "Outlet",
    "Pending",
    "Progress",
    "Reflection",
    "Reply",
    "ResultCache",
    "RunTool",
    "State",
    "Step",
    "Stepped",
    "Sums",
    "ToolStep",
    "Transition",
    "Trigger",
    "Unheard",
    "Unkept",
    "Walk",
    "Way",
    "converse",
    "layers_of",
    "runner",
    "steps_on",
    "within",
]
