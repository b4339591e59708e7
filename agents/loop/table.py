"""The states of a conversation with a model, and the only ways between them. No I/O.

    StartConversation ── begun ──────────→ SendMessage ── answered ─→ ProcessResponse ── finished ─→ EndConversation
        │                                    ↑   │  ↑                    │        │
        └─ taken_up → ProcessResponse        │   │  └──── heard_more ────┘        │ tools_wanted
                                             │   └─ overflowed → CompactMemory    ↓
                  all_told, or through       │                    │          ExecuteTool ←── next_call ──┐
                  CompactMemory (too_long) ──┴──── compacted ─────┘               └─── ran ──→ ToolResult

From every state but the last, `failed`, `suspended` (people or the caller are waited for) and `cancelled` end it.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from .errors import IllegalStep


class State(StrEnum):
    """Where a conversation stands; the value is its word on the audit trail."""

    START_CONVERSATION = "start_conversation"
    SEND_MESSAGE = "send_message"
    PROCESS_RESPONSE = "process_response"
    EXECUTE_TOOL = "execute_tool"
    TOOL_RESULT = "tool_result"
    COMPACT_MEMORY = "compact_memory"
    END_CONVERSATION = "end_conversation"


class Trigger(StrEnum):
    """What moves a conversation on."""

    BEGUN = "begun"
    """What is to be said is there, and fits."""
    TAKEN_UP = "taken_up"
    """An earlier run ended behind an answer that asks for tools."""
    TOO_LONG = "too_long"
    """What was said is too much for the next question."""
    COMPACTED = "compacted"
    """Something was put away."""
    ANSWERED = "answered"
    """A model answered."""
    OVERFLOWED = "overflowed"
    """A model refused the question as too long."""
    TOOLS_WANTED = "tools_wanted"
    """The answer asks for tools."""
    HEARD_MORE = "heard_more"
    """The caller added something while the model was at it."""
    RAN = "ran"
    """A tool gave its result, or was refused: the model is told either."""
    NEXT_CALL = "next_call"
    """The answer asked for more than one tool."""
    ALL_TOLD = "all_told"
    """Every call has its result."""
    FINISHED = "finished"
    """The model answered with text alone."""
    FAILED = "failed"
    SUSPENDED = "suspended"
    """The task waits for people, or for its caller."""
    CANCELLED = "cancelled"


_S, _T = State, Trigger
_WAYS: Final = {
    (_S.START_CONVERSATION, _T.BEGUN): _S.SEND_MESSAGE,
    (_S.START_CONVERSATION, _T.TAKEN_UP): _S.PROCESS_RESPONSE,
    (_S.START_CONVERSATION, _T.TOO_LONG): _S.COMPACT_MEMORY,
    (_S.COMPACT_MEMORY, _T.COMPACTED): _S.SEND_MESSAGE,
    (_S.SEND_MESSAGE, _T.ANSWERED): _S.PROCESS_RESPONSE,
    (_S.SEND_MESSAGE, _T.OVERFLOWED): _S.COMPACT_MEMORY,
    (_S.PROCESS_RESPONSE, _T.TOOLS_WANTED): _S.EXECUTE_TOOL,
    (_S.PROCESS_RESPONSE, _T.HEARD_MORE): _S.SEND_MESSAGE,
    (_S.PROCESS_RESPONSE, _T.TOO_LONG): _S.COMPACT_MEMORY,
    (_S.PROCESS_RESPONSE, _T.FINISHED): _S.END_CONVERSATION,
    (_S.EXECUTE_TOOL, _T.RAN): _S.TOOL_RESULT,
    (_S.TOOL_RESULT, _T.NEXT_CALL): _S.EXECUTE_TOOL,
    (_S.TOOL_RESULT, _T.ALL_TOLD): _S.SEND_MESSAGE,
    (_S.TOOL_RESULT, _T.TOO_LONG): _S.COMPACT_MEMORY,
}
_ENDINGS: Final = {
    (state, trigger): _S.END_CONVERSATION
    for state in State
    if state is not _S.END_CONVERSATION
    for trigger in (_T.FAILED, _T.SUSPENDED, _T.CANCELLED)
}
TABLE: Final = MappingProxyType(_WAYS | _ENDINGS)
"""Every transition that there is."""


class Transition(NamedTuple):
    """One step that was taken."""

    before: State
    trigger: Trigger
    after: State


class Walk:
    """The way of one conversation through the table."""

    def __init__(self) -> None:
        self.state = State.START_CONVERSATION

    @property
    def is_over(self) -> bool:
        """Whether the last state is reached."""
        return self.state is State.END_CONVERSATION

    def step(self, trigger: Trigger) -> Transition:
        """Move on.

        Raises:
            IllegalStep: the table has no such transition; nothing has changed.
        """
        after = TABLE.get((self.state, trigger))
        if after is None:
            raise IllegalStep(self.state, trigger)
        taken = Transition(self.state, trigger, after)
        self.state = after
        return taken
