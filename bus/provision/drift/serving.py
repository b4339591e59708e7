"""The running server, and its streams, as far as the fleet's own keys may ask and the store's folders tell.

No key is let in for this, so nothing is changed: of most streams it is seen that they and their consumers are there,
and only of those that some member may ask about, how they are configured.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bus.connection import Connection, Profile
from bus.credentials import Credential
from bus.errors import ConnectionRefused
from bus.jetstream import ApiError, found_or_none
from bus.provision.archive_list import read_archives
from bus.provision.drift.drift import PROVISION, Drift, Looked
from bus.provision.drift.files import public_of
from bus.provision.members import server_url, servers_of
from bus.provision.permissions import User, users_of
from bus.provision.provision import admin_profile, differences
from bus.provision.streams import Stream, streams_of
from bus.surroundings import Home
from schemas import names
from schemas.errors import DeadlineExceeded, Unavailable
from schemas.fleet import Fleet

_REFUSED = "authorization violation"
_RELOAD = f"systemctl reload nats-server, or: {PROVISION}"


def stored(fleet: Fleet, home: Home) -> Looked:
    """Whether each stream and each consumer has its folder in every store."""
    total = Looked(0)
    for server in servers_of(fleet, home):
        if not (server.store / "jetstream").is_dir():
            total += Looked(1, (Drift("stream", str(server.store), "holds no streams yet", PROVISION),))
            continue
        for stream in streams_of(fleet):
            folder = server.store / "jetstream" / stream.account / "streams" / stream.name
            wanted = {stream.name: folder} | {
                f"{stream.name}.{one['durable_name']}": folder / "obs" / str(one["durable_name"])
                for one in stream.consumers
            }
            missing = [name for name, path in wanted.items() if not path.is_dir()]
            found = (Drift("stream", name, f"is not in account {stream.account}", PROVISION) for name in missing)
            total += Looked(len(wanted), tuple(found))
    return total


async def served(fleet: Fleet, home: Home) -> Looked | None:
    """Whether the server takes every key, and how the streams are that its members may ask about; None: none runs."""
    users = [user for user in users_of(fleet, read_archives(home)) if public_of(_path(home, user))]
    if not users:
        return None
    if await _answers(fleet, home, users[0]) is None:
        return None
    total = Looked(0)
    for user in users:
        is_let_in = await _answers(fleet, home, user)
        says = "is not taken by the running server, whose configuration names it"
        found = () if is_let_in is not False else (Drift("server", str(_path(home, user)), says, _RELOAD),)
        total += Looked(1, found)
        if is_let_in:
            total += await _streams(fleet, home, user)
    return total


async def _answers(fleet: Fleet, home: Home, user: User) -> bool | None:
    """Whether the server lets the user in; None where that cannot be told, as when it does not run."""
    try:
        connection = await Connection.open(_profile(fleet, home, user))
    except ConnectionRefused as error:
        return False if _REFUSED in str(error).lower() else None
    await connection.close()
    return True


async def _streams(fleet: Fleet, home: Home, user: User) -> Looked:
    asked = [stream for stream in streams_of(fleet) if _may_ask(user, stream)]
    if not asked:
        return Looked(0)
    connection = await Connection.open(_profile(fleet, home, user))
    try:
        looked = [await _compared(connection, stream) for stream in asked]
    finally:
        await connection.close()
    return sum(looked, Looked(0))


async def _compared(connection: Connection, stream: Stream) -> Looked:
    try:
        info = await found_or_none(connection, f"STREAM.INFO.{stream.name}")
    except (ApiError, Unavailable, DeadlineExceeded) as error:
        return Looked(1, (Drift("stream", stream.name, f"does not answer: {error}", "see the server's log"),))
    if info is None:
        return Looked(1, (Drift("stream", stream.name, f"is not in account {stream.account}", PROVISION),))
    found = differences(stream.config, info["config"])
    fix = f"{PROVISION}; where that refuses, it says what to do"
    return Looked(1, tuple(Drift("stream", stream.name, f"has {difference}", fix) for difference in found))


def _may_ask(user: User, stream: Stream) -> bool:
    """The first of those who may, so that nothing is asked twice: auditors and the applier may all ask about AUDIT."""
    is_first = stream.name != names.AUDIT or user.principal == names.APPLIER
    return is_first and user.account == stream.account and f"$JS.API.STREAM.INFO.{stream.name}" in user.publish


def _profile(fleet: Fleet, home: Home, user: User) -> Profile:
    inboxes = [subject.removesuffix(".>") for subject in user.subscribe if subject.startswith("_INBOX")]
    profile = admin_profile(server_url(fleet, home), Credential(_path(home, user)), user.principal)
    return replace(profile, name=f"check-{user.principal}", inbox_prefix=inboxes[0] if inboxes else "_INBOX")


def _path(home: Home, user: User) -> Path:
    return home.credentials(user.principal) / user.credential
