"""From a fleet file to a server that carries it: files first, then streams with a key that is then taken away.

The right to create streams exists only while `start_server` sets up: the server starts with an
administrator's key per account that lives in a temporary folder, and is reloaded without it; then the
folder is gone, and the key would open nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from bus.audit.trust import Trust, dump_trust
from bus.connection import Connection, Profile
from bus.credentials import Credential, create_credential
from bus.discovery.agent_keys import write_agent_keys
from bus.errors import ConnectionRefused, NotProvisioned
from bus.files import replace_durably
from bus.jetstream import NO_LEADER_YET, ApiError, call, found_or_none
from bus.provision.archive_list import read_archives, write_archives
from bus.provision.contexts import write_contexts
from bus.provision.members import server_url, servers_of
from bus.provision.moment import momentary_folder
from bus.provision.packet_filter import packet_filter
from bus.provision.permissions import users_of
from bus.provision.retired import signers_of
from bus.provision.rotation import archives_of
from bus.provision.seal_policy import write_seal_policy
from bus.provision.server_config import Keys, server_config
from bus.provision.store_key import ensure_store_key, refuse_unread
from bus.provision.streams import Stream, streams_of
from bus.provision.tls import ensure_tls
from bus.provision.user_keys import write_user_keys
from bus.provision.widening import lacks_bound, widened
from bus.server import LocalServer
from bus.surroundings import Home
from schemas import names
from schemas.errors import DeadlineExceeded, Unavailable
from schemas.fleet import Fleet

_LEADER_S = 30.0


class Running(Protocol):
    """A server that runs, whoever started it."""

    @property
    def url(self) -> str:
        """Where clients connect."""

    def reload(self) -> None:
        """Have it read its configuration again."""


def write_files(fleet: Fleet, home: Home) -> Keys:
    """Write keys, the store's key, certificates, trust file, keys file, seal policy, contexts, packet filter and the server's configuration; what exists already is kept or renewed.

    Keys are made once and never replaced. Returns the public keys.

    Raises:
        NotProvisioned: the server's store is encrypted with a key that is not there.
    """
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = _ensure_keys(fleet, home)
    ensure_store_key(fleet, home)
    ensure_tls(fleet, home)
    _write(home.trust, dump_trust(trust_of(fleet, home)).decode())
    write_agent_keys(home.agent_keys, {agent: keys[agent, names.BUS_CREDENTIAL] for agent in fleet.agents})
    write_seal_policy(fleet, home)
    write_contexts(fleet, home, server_url(fleet, home))
    write_user_keys(home.user_keys, keys)
    _write(home.packet_filter, packet_filter(fleet))
    write_configs(fleet, home, keys)
    return keys


def write_configs(fleet: Fleet, home: Home, keys: Keys, admins: Mapping[str, str] | None = None) -> None:
    """Write the configuration of each server; `admins` as `server_config` takes them."""
    secret = route_secret(home) if fleet.nats.cluster else ""
    for server in servers_of(fleet, home):
        _write(server.config, server_config(fleet, server, keys, admins, secret, read_archives(home)))


def route_secret(home: Home) -> str:
    """What the servers of a cluster know each other by; made once."""
    path = home.credentials(names.CLUSTER) / "route.secret"
    if not path.exists():
        _write(path, secrets.token_urlsafe(32))
    return path.read_text()


def key_files_of(fleet: Fleet, home: Home) -> dict[tuple[str, str], Path]:
    """Where each key of the fleet is: those that connect, that sign the trail, and that seal it."""
    wanted = {(user.principal, user.credential) for user in users_of(fleet)}
    wanted |= {(producer, names.AUDIT_CREDENTIAL) for producer in _producers(fleet, home)}
    wanted |= {(name, names.SEAL_CREDENTIAL) for name in (names.SEALER, *fleet.witnesses)}
    return {key: home.credentials(key[0]) / key[1] for key in sorted(wanted)}


def _ensure_keys(fleet: Fleet, home: Home) -> dict[tuple[str, str], str]:
    return {key: create_credential(path).public_key() for key, path in key_files_of(fleet, home).items()}


def _producers(fleet: Fleet, home: Home) -> dict[str, str]:
    """Each audit producer and the family of its subjects, agents included that are not in the fleet any more."""
    services = dict.fromkeys((names.APPROVALS, names.APPLIER, names.SEALER, names.ROTATION, names.MEMBERSHIP), "sys")
    kept = (path.parent.name for path in sorted(home.credentials("").glob(f"*/{names.AUDIT_CREDENTIAL}")))
    return {**dict.fromkeys(kept, "agent"), **dict.fromkeys(fleet.agents, "agent"), **services}


def trust_of(fleet: Fleet, home: Home) -> Trust:
    """Whose signatures are believed on which subjects of the trail."""
    return {
        f"audit.{family}.{name}.": signers_of(home.credentials(name) / names.AUDIT_CREDENTIAL)
        for name, family in _producers(fleet, home).items()
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_durably(path, text.encode(), keeps_owner=True)


def grant_archives(fleet: Fleet, home: Home, archives: Iterable[str]) -> None:
    """Have the server's configuration let read these archives who may read the trail."""
    write_archives(home, archives)
    write_files(fleet, home)


async def start_server(fleet: Fleet, home: Home) -> LocalServer:
    """As `start_servers`, for a fleet that has one.

    Raises:
        NotProvisioned: it has a cluster; also what `start_servers` raises.
    """
    if fleet.nats.cluster:
        raise NotProvisioned(
            "this fleet has a cluster, whose servers run as units of their own; `agentbus provision` makes their "
            "configurations and streams"
        )
    (server,) = await start_servers(fleet, home)
    return server


async def start_servers(fleet: Fleet, home: Home) -> tuple[LocalServer, ...]:
    """Start this fleet's servers with everything they must hold, and nobody left who could change that.

    Raises:
        NoServer: one does not start. NotProvisioned: a stream exists with another configuration.
    """
    keys = write_files(fleet, home)
    servers = local_servers(fleet, home)
    with momentary_folder() as folder:
        accounts = sorted({stream.account for stream in streams_of(fleet)})
        admins = {account: create_credential(Path(folder) / account) for account in accounts}
        write_configs(fleet, home, keys, {account: admin.public_key() for account, admin in admins.items()})
        try:
            await asyncio.gather(*(server.start() for server in servers))
            await _set_up(servers, fleet, home, keys, admins)
        except BaseException:
            await asyncio.gather(*(server.stop() for server in servers))
            raise
        finally:
            write_configs(fleet, home, keys)
    return servers


def local_servers(fleet: Fleet, home: Home) -> tuple[LocalServer, ...]:
    """This fleet's servers as `write_files` configures them, not started."""
    return tuple(one.local(ensure_store_key(fleet, home)) for one in servers_of(fleet, home))


async def put_in_force(fleet: Fleet, home: Home, servers: Sequence[Running]) -> None:
    """Have running servers do what the fleet file says now; connections that stay allowed are kept.

    Raises:
        NotProvisioned: a server does not take it; it goes on with the configuration that it had.
    """
    await reconfigure(fleet, home, write_files(fleet, home), servers)


async def reconfigure(fleet: Fleet, home: Home, keys: Keys, servers: Sequence[Running]) -> None:
    """The same where all keys are there: nothing is written but the servers' configurations.

    The configuration is read twice, because imports of an account work from the second time on; that each reading
    has happened is seen by a key that is let in by the first and refused by the second. Streams are not changed.

    Raises:
        NotProvisioned: a server does not take it; it goes on with the configuration that it had.
    """
    with momentary_folder() as folder:
        witness = create_credential(Path(folder) / names.ACCOUNT_PARTS)
        write_configs(fleet, home, keys, {names.ACCOUNT_PARTS: witness.public_key()})
        try:
            await reloaded(servers, witness, lets_in=True)
        finally:
            write_configs(fleet, home, keys)
        await reloaded(servers, witness, lets_in=False)


async def reloaded(servers: Sequence[Running], witness: Credential, *, lets_in: bool) -> None:
    """Have the servers read their configurations, and return when each lets `witness` in, or no more.

    Raises:
        NotProvisioned: one does not within some seconds.
    """
    for server in servers:
        server.reload()
    await asyncio.gather(*(_until(server, witness, lets_in=lets_in) for server in servers))


async def _set_up(
    servers: Sequence[LocalServer], fleet: Fleet, home: Home, keys: Keys, admins: dict[str, Credential]
) -> None:
    url = ",".join(server.url for server in servers)
    async with AsyncExitStack() as stack:
        connections: dict[str, Connection] = {}
        for account, admin in admins.items():
            connections[account] = await Connection.open(admin_profile(url, admin, account))
            stack.push_async_callback(connections[account].close)
        stores = tuple(one.store for one in servers_of(fleet, home))
        write_archives(
            home, await patiently(partial(archives_of, home=home, stores=stores), connections[names.ACCOUNT_AUDIT])
        )
        ensure = partial(ensure_stream, stores=stores)
        for stream in streams_of(fleet):
            await patiently(partial(ensure, stream=stream), connections[stream.account])
    write_configs(fleet, home, keys)
    await reloaded(servers, next(iter(admins.values())), lets_in=False)


def admin_profile(url: str, admin: Credential, account: str) -> Profile:
    """How provisioning connects with a key of its own for `account`: once, or not at all."""
    name = f"provision-{account}"
    return Profile(url=url, credential=admin, name=name, inbox_prefix="_INBOX", wait_for_server=False)


async def patiently[T](ask: Callable[[Connection], Awaitable[T]], connection: Connection) -> T:
    """Repeat while a new cluster has no leader yet."""
    deadline = time.monotonic() + _LEADER_S
    while True:
        try:
            return await ask(connection)
        except (Unavailable, DeadlineExceeded, ApiError) as error:
            is_early = not isinstance(error, ApiError) or error.code in NO_LEADER_YET
            if not is_early or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


async def _until(server: Running, witness: Credential, *, lets_in: bool) -> None:
    """Return when the server lets a key of provisioning in, or no more: then the reload is in force."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if await is_let_in(server, witness) == lets_in:
            return
        await asyncio.sleep(0.02)
    did = "take" if lets_in else "drop"
    raise NotProvisioned(f"the server did not {did} provisioning's keys on reload; see its log")


async def is_let_in(server: Running, witness: Credential) -> bool:
    """Whether the server takes this key now."""
    try:
        connection = await Connection.open(admin_profile(server.url, witness, "gone"))
    except ConnectionRefused:
        return False
    await connection.close()
    return True


async def ensure_stream(connection: Connection, stream: Stream, stores: Sequence[Path] = ()) -> None:
    """Create the stream and its consumers, or bring the stream up to what is wanted now, where nothing is lost by that.

    `stores` are the servers' folders.

    Raises:
        NotProvisioned: it exists with another configuration, and the message names the first difference; or its files
            exist and the server could not read them.
    """
    info = await found_or_none(connection, f"STREAM.INFO.{stream.name}")
    if info is None:
        refuse_unread(stream, stores)
        info = await call(connection, f"STREAM.CREATE.{stream.name}", stream.config)
    elif wider := widened(stream.config, info["config"], await _most_of_a_subject(connection, stream, info["config"])):
        info = await call(connection, f"STREAM.UPDATE.{stream.name}", info["config"] | wider)
    _require_same(stream.name, stream.config, info["config"])
    for consumer in stream.consumers:
        name = str(consumer["durable_name"])
        found = await found_or_none(connection, f"CONSUMER.INFO.{stream.name}.{name}")
        if found is None:
            body = {"stream_name": stream.name, "config": consumer}
            found = await call(connection, f"CONSUMER.DURABLE.CREATE.{stream.name}.{name}", body)
        _require_same(f"{stream.name}.{name}", consumer, found["config"])


async def _most_of_a_subject(connection: Connection, stream: Stream, found: dict[str, Any]) -> int | None:
    """How many messages the fullest subject holds, where that decides; None also when there are too many subjects to tell."""
    if not lacks_bound(stream.config, found):
        return None
    info = await call(connection, f"STREAM.INFO.{stream.name}", {"subjects_filter": ">"})
    counts: dict[str, int] = info["state"].get("subjects") or {}
    return max(counts.values(), default=0) if len(counts) == info["state"].get("num_subjects", 0) else None


def _require_same(name: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    for difference in differences(wanted, found):
        raise NotProvisioned(
            f"{name} has {difference}; back the stream up and remove it, or run the version that made it"
        )


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What a stream or consumer has otherwise than this version provisions it."""
    return [
        f"{key} {found.get(key)!r} where this version provisions {value!r}"
        for key, value in wanted.items()
        if found.get(key, type(value)()) != value
    ]
