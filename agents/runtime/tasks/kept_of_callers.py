"""Whether an agent keeps anything about its callers, and what follows from it for its process."""

from __future__ import annotations

from collections.abc import Mapping

from bus.connection import Connection
from bus.requests.responder import Operation
from bus.sessions import SessionStore
from schemas.agent import AgentFile


def remembers(file: AgentFile) -> bool:
    """Whether it keeps anything about its callers."""
    return file.memory is not None or file.tools.note is not None


def desk_of(file: AgentFile, own: Connection) -> Mapping[str, Operation]:
    """The operations by which callers look at what is kept about them; none where nothing is."""
    if not remembers(file):
        return {}
    from agents.memory import SessionDesk  # not for processes that keep nothing

    return SessionDesk(SessionStore(own)).table()


async def require_room_to_remember(file: AgentFile, own: Connection) -> None:
    """Return when there is a bucket, or no need of one.

    Raises:
        NotProvisioned: provisioning has not made it.
    """
    if remembers(file) or file.llm is not None:  # a durable task keeps its turns there
        await SessionStore(own).require()
