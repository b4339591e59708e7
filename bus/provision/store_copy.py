"""A whole store under another key: each stream of each account as the server itself hands it out and takes it back.

Two servers run, the fleet's own, which lets in nobody of the fleet, and one beside it with a store and a key of its own.
Sequences, times, headers, consumers and how far they are stay what they were. When all is copied, both servers are
asked for all of it: what differs, as by a message that came due meanwhile, is copied again.

nats-server has a way of its own, `prev_key`; with it a copy of a fleet's store lost a stream that was empty, and
consumers (tried on 2.15.0).
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bus.audit.copies.snapshot import hand_over_stream, ours
from bus.connection import Connection
from bus.errors import NotProvisioned
from bus.jetstream import call
from bus.provision.closed import administering
from bus.provision.members import servers_of
from bus.provision.store_switch import next_key, next_store
from bus.server import free_port
from bus.surroundings import Home
from schemas.fleet import Fleet

Admins = Mapping[str, Connection]
"""By account: a connection that may do everything in it."""
_TRIES: Final = 3
_SPARE_BYTES: Final = 64 * 1024**2
_OF_A_CONSUMER: Final = ("name", "config", "num_ack_pending", "num_redelivered", "num_pending", "num_waiting")
_NOT_OF_A_STATE: Final = frozenset({"consumer_count"})


@dataclass(frozen=True, slots=True)
class Stores:
    """The two servers, as who may do everything in each account sees them."""

    old: Admins
    new: Admins


@asynccontextmanager
async def both_stores(fleet: Fleet, home: Home) -> AsyncIterator[Stores]:
    """Run both servers; nobody but the caller is let in. The old one listens where the fleet's does, so not beside it.

    Raises:
        NoServer: one does not start, as when the fleet runs. NotProvisioned: there is a cluster.
    """
    if fleet.nats.cluster:
        raise NotProvisioned("this fleet has a cluster; this is for a fleet with one server")
    (here,) = servers_of(fleet, home)
    there = replace(
        here, port=free_port(here.host), store=next_store(home), log=here.log.with_name("nats-rotation.log")
    )
    there.store.mkdir(mode=0o700)
    _as_owned(here.store, there.store)
    accounts = accounts_in(here.store)
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(administering(fleet, here, home.store_key, accounts))
        new = await stack.enter_async_context(administering(fleet, there, next_key(home), accounts))
        yield Stores(old, new)


def accounts_in(store: Path) -> tuple[str, ...]:
    """Each account that has a stream there, of those too that are not in the fleet any more."""
    return tuple(sorted({path.parent.parent.name for path in store.glob("jetstream/*/streams/*")}))


def require_room_for_both(home: Home) -> None:
    """Raises:
    NotProvisioned: the disk has not as much room as the store takes.
    """
    needed = sum(path.stat().st_size for path in home.store.rglob("*") if path.is_file()) + _SPARE_BYTES
    free = shutil.disk_usage(home.store).free
    if free < needed:
        raise NotProvisioned(
            f"both stores are there for a while: {needed >> 20} MiB are needed on the disk of {home.store}, which has "
            f"{free >> 20} MiB left; make room, and repeat"
        )


async def copy_store(stores: Stores, say: Callable[[str], None]) -> int:
    """Have the new server hold all that the old one holds; returns how many streams that is.

    Raises:
        NotProvisioned: they still differ after some tries; the message says in what. ApiError, Unavailable,
            DeadlineExceeded: a server does not do it.
    """
    for attempt in range(_TRIES):
        found = {account: await look(admin) for account, admin in stores.old.items()}
        for account, streams in found.items():
            present = await look(stores.new[account])
            for name, about in streams.items():
                if present.get(name) != about:
                    say(f"copying {account}/{name}: {about['state']['messages']} messages")
                    await _copied(stores, account, name, is_there=name in present)
        different = await differences(stores)
        if not different:
            return sum(map(len, found.values()))
        say(f"{', '.join(different)} changed meanwhile" if attempt + 1 < _TRIES else "")
    raise NotProvisioned(f"the copy is not what the store holds: {', '.join(different)}; nothing was changed")


async def differences(stores: Stores) -> list[str]:
    """The streams that are not the same in both, by account and name."""
    found = []
    for account, admin in stores.old.items():
        old, new = await look(admin), await look(stores.new[account])
        found += [f"{account}/{name}" for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return found


async def look(admin: Connection) -> dict[str, dict[str, Any]]:
    """What an account holds, by stream: its configuration and state, and each consumer with how far it is."""
    found = {}
    for stream in await _pages(admin, "STREAM.LIST", "streams"):
        name = str(stream["config"]["name"])
        consumers = (
            await _pages(admin, f"CONSUMER.LIST.{name}", "consumers") if stream["state"]["consumer_count"] else []
        )
        state = {key: value for key, value in stream["state"].items() if key not in _NOT_OF_A_STATE}
        if not state["messages"]:  # of one that never held any the first is 0 or 1, and a copy has no time of the last
            state |= {"first_seq": state["last_seq"] + 1, "last_ts": ""}
        found[name] = {
            "config": _plain(stream["config"]), "state": state,
            "consumers": sorted((_consumer(one) for one in consumers), key=lambda one: str(one["name"])),
        }  # fmt: skip
    return found


def _consumer(info: Mapping[str, Any]) -> dict[str, Any]:
    places = {key: (info[key]["consumer_seq"], info[key]["stream_seq"]) for key in ("delivered", "ack_floor")}
    return {key: info.get(key) for key in _OF_A_CONSUMER} | places | {"config": _plain(info["config"])}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what the server writes into it about itself."""
    return {**config, "metadata": ours(config)}


async def _copied(stores: Stores, account: str, name: str, *, is_there: bool) -> None:
    if is_there:
        await call(stores.new[account], f"STREAM.DELETE.{name}", timeout_s=60)
    await hand_over_stream(stores.old[account], stores.new[account], name)


async def _pages(admin: Connection, verb: str, of: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = await call(admin, verb, {"offset": len(found)}, timeout_s=60)
        page = answer.get(of) or []
        found += page
        if not page or len(found) >= answer["total"]:
            return found


def _as_owned(like: Path, folder: Path) -> None:
    """root makes it for whom the other one belongs to."""
    there, here = like.stat(), folder.stat()
    if (there.st_uid, there.st_gid) != (here.st_uid, here.st_gid):
        shutil.chown(folder, there.st_uid, there.st_gid)
