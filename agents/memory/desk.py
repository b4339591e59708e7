"""What a caller may do with what an agent remembers of it: list it, read it, delete it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import msgspec

from bus.inbound import Call
from bus.requests.responder import Operation
from bus.sessions import SessionStore, notes_key, session_key
from schemas import protojson
from schemas import sessions as wire
from schemas.errors import UNREADABLE, InvalidArgument


class SessionDesk:
    """The operations of extension `SESSIONS_URI`, each about its caller's own alone."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def table(self) -> Mapping[str, Operation]:
        """Operation name to what serves it."""
        return {
            wire.LIST_SESSIONS: self.list_sessions,
            wire.GET_SESSION: self.get_session,
            wire.DELETE_SESSION: self.delete_session,
            wire.GET_NOTES: self.get_notes,
            wire.DELETE_NOTES: self.delete_notes,
        }

    async def list_sessions(self, call: Call) -> wire.ListSessionsResponse:
        """ListSessions. Reads all of the caller's, keeps none."""
        request = protojson.decode(call.payload or b"{}", wire.ListSessionsRequest)
        if not 1 <= request.limit <= wire.MOST_LISTED:
            raise InvalidArgument(f"limit must be from 1 to {wire.MOST_LISTED}")
        heads = [_head(value) async for value in self._store.all_of(call.caller)]
        newest = heapq.nlargest(request.limit, heads, key=lambda head: head.written_at)
        return wire.ListSessionsResponse(sessions=tuple(newest), total=len(heads))

    async def get_session(self, call: Call) -> wire.StoredData:
        """GetSession."""
        return await self._stored(session_key(call.caller, _context(call)))

    async def delete_session(self, call: Call) -> wire.Deleted:
        """DeleteSession. A request of the conversation that is answered meanwhile begins it anew with its own exchange."""
        return wire.Deleted(was_there=await self._store.delete(session_key(call.caller, _context(call))))

    async def get_notes(self, call: Call) -> wire.StoredData:
        """GetNotes: the caller's own; those that all share are the agent's."""
        return await self._stored(notes_key(call.caller))

    async def delete_notes(self, call: Call) -> wire.Deleted:
        """DeleteNotes: all of the caller's own."""
        return wire.Deleted(was_there=await self._store.delete(notes_key(call.caller)))

    async def _stored(self, key: str) -> wire.StoredData:
        found = await self._store.get(key)
        return wire.StoredData(data=msgspec.Raw(found.value)) if found.value else wire.StoredData()


def _context(call: Call) -> str:
    context = protojson.decode(call.payload or b"{}", wire.SessionRequest).context_id
    if not context:
        raise InvalidArgument("contextId names the conversation; ListSessions has those that there are")
    return context


class _Some(msgspec.Struct):
    """Of a stored conversation what a list shows, whichever version wrote it."""

    context_id: str = ""
    began_at: str = ""
    written_at: str = ""
    turns: tuple[msgspec.Raw, ...] = ()
    archived: tuple[msgspec.Raw, ...] = ()
    forgotten: int = 0
    used_tokens: int = 0


_SOME = msgspec.json.Decoder(_Some)


def _head(value: bytes) -> wire.SessionHead:
    try:
        some = _SOME.decode(value)
    except UNREADABLE:
        some = _Some(context_id="(unreadable)")
    return wire.SessionHead(
        context_id=some.context_id, began_at=some.began_at, written_at=some.written_at, turns=len(some.turns),
        archived=len(some.archived), forgotten=some.forgotten, used_tokens=some.used_tokens, size=len(value),
    )  # fmt: skip
