"""What an agent with a model remembers, made from its file: its memories, and the tools that look into what it keeps."""

from __future__ import annotations

from agents.memory import Memories, NoteBook, recall_row
from agents.tools.row import Row
from bus.audit.emit import Audit
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
