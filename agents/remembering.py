"""What a handler remembers of its callers: `ctx.memory`.

    await ctx.memory.put("size", "large")                      # a note, which outlasts the conversation
    note = await ctx.memory.get("size")                        # its text, and when it was written; None: there is none
    earlier = await ctx.memory.recall()                        # what was said in this conversation, oldest first
    await ctx.memory.append(Said("caller", request), Said("agent", answer))

Notes and conversations belong to the caller that the server enforced; they are kept in the agent's own account, as
those of agents with a model are, and their caller may read and delete them (`agentbus sessions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NoReturn, Protocol

import msgspec

from schemas.errors import AgentbusError


class NotRemembering(AgentbusError):
    """The agent's file does not say that it remembers anything: add `memory: {}` to it."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One note, with where it comes from: what it says is what somebody once said, no instruction."""

    text: str
    written_at: str
    caller: str
    context_id: str


class Said(msgspec.Struct, frozen=True):
    """Something that was said in a conversation. `at` is when it was stored (RFC 3339); whatever is given there is not used."""

    by: Literal["caller", "agent"]
    text: str
    at: str = ""


class Remembering(Protocol):
    """The notes of a request's caller, and the conversation (`ctx.context_id`) that the request belongs to.

    All of it is for this caller alone, unless the file says `memory: {notes: shared}`. Each method raises
    NotRemembering where the agent's file has no section `memory`, and Unavailable or DeadlineExceeded where the server
    stays away for half a minute.
    """

    async def put(self, name: str, text: str) -> None:
        """Keep a note under `name`, in the place of what was there. It stays until it is forgotten.

        Raises:
            InvalidNote: the name or the text is not of the form of a note. NotesFull: there is no room beside the others.
        """

    async def get(self, name: str) -> Note | None:
        """The note of this name."""

    async def list(self) -> Mapping[str, Note]:
        """All notes, by name."""

    async def forget(self, name: str) -> bool:
        """Delete the note of this name; whether there was one."""

    async def recall(self, words: str = "", *, limit: int = 50) -> tuple[Said, ...]:
        """What was said in this conversation: before this request, and by `append` in this run.

        Without `words` the newest `limit`, oldest first; else those that have the most of these words, the best first.
        """

    async def append(self, *said: Said) -> None:
        """Add to the conversation, which is kept for `memory.session_ttl_s` from now on.

        Where the same message is answered again, or its task runs again, what that run appends takes the place of what
        the run before did. When the conversation is over 900,000 bytes, the oldest goes.

        Raises:
            InvalidArgument: the caller's `contextId` is too long to be kept. StorageFull: there is no room for it.
        """


class Unremembered:
    """Of an agent whose file has no section `memory`, or which has a model: see `Remembering`."""

    async def put(self, name: str, text: str) -> None:  # noqa: ARG002  as in `Remembering`
        """See `Remembering.put`."""
        self._refuse()

    async def get(self, name: str) -> Note | None:  # noqa: ARG002
        """See `Remembering.get`."""
        self._refuse()

    async def list(self) -> Mapping[str, Note]:
        """See `Remembering.list`."""
        self._refuse()

    async def forget(self, name: str) -> bool:  # noqa: ARG002
        """See `Remembering.forget`."""
        self._refuse()

    async def recall(self, words: str = "", *, limit: int = 50) -> tuple[Said, ...]:  # noqa: ARG002
        """See `Remembering.recall`."""
        self._refuse()

    async def append(self, *said: Said) -> None:  # noqa: ARG002
        """See `Remembering.append`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotRemembering(
            "ctx.memory is for handlers of agents that remember: write `memory: {}` into agent.yaml beside `handler` "
            "(a model has the tools note and recall)"
        )
