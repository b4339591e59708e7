"""What an agent with a model remembers, made from its file: its memories, and the tools that look into what it keeps."""

from __future__ import annotations

from collections.abc import Mapping

from agents.memory import Memories, NoteBook, SessionDesk, recall_row
from agents.tools.row import Row
from bus.audit.emit import Audit
from bus.connection import Connection
from bus.requests.responder import Operation
from bus.sessions import SessionStore
from schemas.agent import AgentFile, Llm


def remembering_of(
    file: AgentFile, section: Llm, store: SessionStore, audit: Audit
) -> tuple[Memories, tuple[Row, ...]]:
    """Without a section `memory` nothing is remembered, but notes, and there is nothing to recall."""
    settings = file.memory
    notes = NoteBook(store, settings.notes if settings else "caller").row()
    memories = Memories(settings, section, store, audit, has_recall=file.tools.recall is not None)
    return memories, (notes, recall_row(memories)) if settings else (notes,)


def remembers(file: AgentFile) -> bool:
    """Whether it keeps anything about its callers."""
    return file.memory is not None or file.tools.note is not None


def desk_of(file: AgentFile, own: Connection) -> Mapping[str, Operation]:
    """The operations by which callers look at what is kept about them; none where nothing is."""
    return SessionDesk(SessionStore(own)).table() if remembers(file) else {}


async def require_room_to_remember(file: AgentFile, own: Connection) -> None:
    """Return when there is a bucket, or no need of one.

    Raises:
        NotProvisioned: provisioning has not made it.
    """
    if remembers(file) or file.llm is not None:  # a durable task keeps its turns there
        await SessionStore(own).require()
