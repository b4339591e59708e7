"""What an agent with a model remembers, made from its file: its memories, and the tools that look into what it keeps."""

from __future__ import annotations

from agents.memory import Memories, NoteBook, recall_row
from agents.tools.row import Row
from bus.audit.emit import Audit
from bus.connection import Connection
from bus.sessions import SessionStore
from schemas.agent import AgentFile, Llm


def remembering_of(
    file: AgentFile, section: Llm, store: SessionStore, audit: Audit
) -> tuple[Memories | None, tuple[Row, ...]]:
    """None where the file has no section `memory`; notes need none."""
    settings = file.memory
    notes = NoteBook(store, settings.notes if settings else "caller").row()
    if settings is None:
        return None, (notes,)
    memories = Memories(settings, section, store, audit, has_recall=file.tools.recall is not None)
    return memories, (notes, recall_row(memories))


async def require_room_to_remember(file: AgentFile, own: Connection) -> None:
    """Return when there is a bucket, or no need of one.

    Raises:
        NotProvisioned: provisioning has not made it.
    """
    if file.memory is not None or file.tools.note is not None:
        await SessionStore(own).require()
