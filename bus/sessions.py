"""What an agent remembers of its callers, in the agent's own account, written by compare-and-set.

A value belongs to one caller: its key begins with the caller's token, which is the identity that the server
enforces, so nobody's conversation is another's. Each write renews the value's time (`Nats-TTL`).

Guarantees: `change` builds on what is stored, also when several instances write at once: none of them is lost.
Not guaranteed: that a value is there for as long as it was told; an operator's quota may end before.

Source: ADR-8 (key-value), ADR-43 and ADR-48 (time to live).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from bus.audit.read import Reader
from bus.connection import Connection
from bus.jetstream import Bucket, Entry, Overtaken
from bus.outage import through_outage
from bus.tasks.retention import TOMBSTONE_S, keeping
from schemas import names, subjects
from schemas.errors import Unavailable
from schemas.ids import sha256_hex

MAX_VALUE_BYTES: Final = names.MAX_PAYLOAD_BYTES - 8 * 1024
"""A value and its headers are one message."""
_TRIES: Final = 64
_DELETED: Final = "KV-Operation"
_SHARED: Final = "SHARED"


class Found(NamedTuple):
    """What is stored under a key. `was_deleted`: somebody deleted it a moment ago; else an empty value was never there."""

    value: bytes
    revision: int
    was_deleted: bool = False


_NOTHING: Final = Found(b"", 0)
Change = Callable[[Found], bytes]
"""Makes the new value of the stored one; called again when somebody else was faster, and may raise."""


def session_key(caller: str, context: str) -> str:
    """The key of a conversation; `context` is any text, so its digest stands for it."""
    return f"{subjects.require_token('caller', caller)}.{sha256_hex(context.encode())}"


def notes_key(caller: str = "") -> str:
    """The key of a caller's notes, or of those that all share. No caller's token has capitals."""
    return f"NOTES.{subjects.require_token('caller', caller) if caller else _SHARED}"


def work_key(caller: str, task: str) -> str:
    """The key of how far a caller's task is."""
    return f"WORK.{subjects.require_token('caller', caller)}.{subjects.require_token('task', task)}"


class SessionStore:
    """The bucket `sessions` of one agent; `own` is the connection to the agent's account."""

    def __init__(self, own: Connection) -> None:
        self._own = own
        self._bucket = Bucket(own, names.SESSION_BUCKET, quota="sessions_mb")
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By key: writers of this process wait for each other instead of trying against each other."""

    async def require(self) -> None:
        """Check that provisioning made the bucket.

        Raises:
            NotProvisioned: it is not there.
        """
        await self._bucket.require()

    async def get(self, key: str) -> Found:
        """What is stored under `key`; waits through an outage of half a minute.

        Raises:
            Unavailable, DeadlineExceeded: the server stayed away.
        """
        return await through_outage(lambda _: self._get(key))

    async def change(self, key: str, changed: Change, *, ttl_s: int | None = None) -> bytes:
        """Store what `changed` makes of the stored value, for `ttl_s` seconds from now or for good; returns it.

        Raises:
            StorageFull: there is no room for it. Unavailable, UnknownOutcome: the server stayed away, or others wrote
                each time; it may be stored.
        """
        lock = self._writing.setdefault(key, asyncio.Lock())
        async with lock:
            return await self._changed(key, changed, {} if ttl_s is None else keeping(ttl_s))

    async def delete(self, key: str) -> bool:
        """Forget what is stored under `key`; whether there was anything. Raises as `change`."""
        found = await self.get(key)
        if not found.value:
            return False
        await self.change(key, lambda _: b"", ttl_s=TOMBSTONE_S)
        return True

    async def all_of(self, caller: str) -> AsyncIterator[bytes]:
        """Every conversation of `caller`; raises as `bus.audit.read.Reader.records`."""
        pattern = f"$KV.{names.SESSION_BUCKET}.{subjects.require_token('caller', caller)}.*"
        reader = Reader(self._own, stream=f"KV_{names.SESSION_BUCKET}", batch=16)
        async for record in reader.records(subject=pattern):
            if record.payload:
                yield record.payload

    async def _get(self, key: str) -> Found:
        entry = await self._bucket.get(key)
        return _found(entry) if entry else _NOTHING

    async def _changed(self, key: str, changed: Change, headers: dict[str, str]) -> bytes:
        found = await self.get(key)
        for _ in range(_TRIES):
            value = changed(found)
            last = await self._put(key, value, found.revision, headers)
            if last is None:
                return value
            found = await self._at_least(key, last)
        raise Unavailable("others write to this conversation all the time; try again", retry_after_s="1")

    async def _put(self, key: str, value: bytes, revision: int, headers: dict[str, str]) -> int | None:
        """None when `value` is stored; else the revision that another writer has made."""
        if not value:
            headers = headers | {_DELETED: "DEL"}

        async def put(is_unsure: bool) -> int | None:  # noqa: FBT001  as `through_outage` calls it
            try:
                await self._bucket.put(key, value, revision=revision, headers=headers)
            except Overtaken as error:
                if is_unsure and (await self._at_least(key, error.last)).value == value:
                    return None  # it was stored at the try whose answer was lost
                return error.last
            return None

        return await through_outage(put)

    async def _at_least(self, key: str, revision: int) -> Found:
        """The stored value, of `revision` or later: a copy may answer that has not heard of it yet.

        Raises:
            Unavailable: it is behind for half a minute.
        """

        async def current(_: bool) -> Found:  # noqa: FBT001  as `through_outage` calls it
            found = await self._get(key)
            if found.revision < revision:
                raise Unavailable(f"a copy of the conversations is behind {revision}", retry_after_s="1")
            return found

        return await through_outage(current)


def _found(entry: Entry) -> Found:
    return Found(entry.value, entry.revision, was_deleted=_DELETED in entry.headers)
