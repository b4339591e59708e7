"""The bucket of conversations: isolated by caller, merged when two write at once, gone when its time is over."""

from __future__ import annotations

import asyncio

import pytest

from bus.connection import Connection
from bus.errors import StorageFull
from bus.jetstream import Bucket
from bus.sessions import MAX_VALUE_BYTES, Found, SessionStore, notes_key, session_key
from schemas import names
from schemas.errors import InvalidSubject
from tests.harness.fleet import Bench, until


async def _own(bench: Bench) -> Connection:
    return await bench.connect("greeter", names.OWN_CREDENTIAL)


def _adding(word: str) -> object:
    return lambda found: found.value + word.encode()


async def test_conversations_are_kept_changed_and_deleted(fleet_bench: Bench) -> None:
    """One caller's conversation is nobody else's; what two instances add at once is all there; its time is renewed."""
    store, other = SessionStore(await _own(fleet_bench)), SessionStore(await _own(fleet_bench))
    await store.require()
    key = session_key("ops", "any text: é.*>")
    assert await store.get(key) == Found(b"", 0)

    def add(word: int) -> object:
        return lambda found: found.value + b"%d," % word

    writers = [(store, other)[number % 2].change(key, add(number), ttl_s=60) for number in range(20)]  # type: ignore[arg-type]
    await asyncio.gather(*writers)
    stored = await store.get(key)
    assert sorted(map(int, stored.value.decode().rstrip(",").split(","))) == list(range(20))

    assert (await store.get(session_key("greeter", "any text: é.*>"))).value == b""
    await store.change(session_key("greeter", "c"), lambda _: b"theirs", ttl_s=60)
    await store.change(notes_key("ops"), lambda _: b"a note", ttl_s=60)
    assert [value async for value in store.all_of("ops")] == [stored.value]

    assert await store.delete(key)
    assert not await store.delete(key)
    gone = await other.get(key)
    assert (gone.value, gone.was_deleted) == (b"", True)
    await other.change(key, lambda found: found.value + b"anew", ttl_s=1)
    assert (await store.get(key)).value == b"anew"

    async def is_over() -> bool:
        return await store.get(key) == Found(b"", 0)

    await until(is_over)
    assert [value async for value in store.all_of("ops")] == []


async def test_a_full_bucket_is_said_with_what_to_do(fleet_bench: Bench) -> None:
    """A value as large as one may be fits into a message; when there is no room, the fleet file's key is named."""
    store = SessionStore(await _own(fleet_bench))
    value = b"x" * MAX_VALUE_BYTES
    assert await store.change(session_key("ops", "0"), lambda _: value, ttl_s=60) == value

    async def fill() -> None:
        for number in range(40):
            await store.change(session_key("ops", str(number)), lambda _: value, ttl_s=60)

    with pytest.raises(StorageFull, match="raise sessions_mb"):
        await fill()
    await store.change(session_key("ops", "0"), lambda _: b"small", ttl_s=60)  # what is there may still change
    assert await store.delete(session_key("ops", "1"))


async def test_a_write_whose_answer_was_lost_is_not_done_twice(fleet_bench: Bench) -> None:
    """The value that is found where another writer was expected is this one's own."""
    own = await _own(fleet_bench)
    store, key = SessionStore(own), session_key("ops", "c")
    await Bucket(own, names.SESSION_BUCKET).put(key, b"one", revision=0)
    tries: list[Found] = []

    def add(found: Found) -> bytes:
        tries.append(found)
        return found.value + b"+"

    # what it read first is old at once: somebody else writes between its reading and its writing
    first = await store.get(key)
    await Bucket(own, names.SESSION_BUCKET).put(key, b"two", revision=first.revision)
    assert await store._put(key, b"late", first.revision, {}) == (await store.get(key)).revision
    assert await store.change(key, add, ttl_s=60) == b"two+"
    assert len(tries) == 1


def test_keys_are_made_of_identities() -> None:
    """A caller whose name is no subject token has no key; nobody's conversation is among the notes."""
    assert session_key("ops", "a") != session_key("ops", "b")
    assert notes_key("ops").startswith("NOTES.")
    assert notes_key() == "NOTES.SHARED"
    for caller in ("NOTES", "a.b", "*", ""):
        with pytest.raises(InvalidSubject):
            session_key(caller, "c")
