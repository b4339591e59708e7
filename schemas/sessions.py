"""What an agent remembers of its caller, over the wire: an extension of A2A with operations of its own.

The caller of each is the identity that the server enforces: nobody lists, reads or deletes what is another's. `data`
holds what is stored, as it is stored, with its version.
"""

from __future__ import annotations

from typing import Any, Final

from schemas import a2a

SESSIONS_URI: Final = "urn:agentbus:a2a:ext:sessions:v1"
LIST_SESSIONS: Final = "ListSessions"
GET_SESSION: Final = "GetSession"
DELETE_SESSION: Final = "DeleteSession"
GET_NOTES: Final = "GetNotes"
DELETE_NOTES: Final = "DeleteNotes"
MOST_LISTED: Final = 1_000


class ListSessionsRequest(a2a.Empty, frozen=True, kw_only=True):
    """The `limit` that were written last."""

    limit: int = 100


class SessionHead(a2a.Empty, frozen=True, kw_only=True):
    """One conversation, without what was said. Times are RFC 3339; `archived` turns a model is not told any more."""

    context_id: str
    began_at: str
    written_at: str
    turns: int = 0
    archived: int = 0
    forgotten: int = 0
    used_tokens: int = 0
    size: int = 0


class ListSessionsResponse(a2a.Empty, frozen=True, kw_only=True):
    """The newest first, and how many there are."""

    sessions: tuple[SessionHead, ...] = ()
    total: int = 0


class SessionRequest(a2a.Empty, frozen=True, kw_only=True):
    """GetSession and DeleteSession."""

    context_id: str


class StoredData(a2a.Empty, frozen=True, kw_only=True):
    """What is stored; null when nothing is."""

    data: Any = None


class Deleted(a2a.Empty, frozen=True, kw_only=True):
    """Whether there was anything."""

    was_there: bool = False
