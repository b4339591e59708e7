"""From a fleet file to a server that carries it: files first, then streams with a key that is then taken away.

The right to create streams exists only while `start_server` sets up: the server starts with an
administrator's key per account that lives in a temporary folder, and is reloaded without it; then the
folder is gone, and the key would open nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bus.audit.trust import Trust, dump_trust
from bus.connection import Connection, Profile
from bus.credentials import Credential, create_credential
from bus.errors import ConnectionRefused, NotProvisioned
from bus.jetstream import NO_LEADER_YET, NOT_FOUND, ApiError, call
from bus.provision.contexts import write_contexts
from bus.provision.members import server_url, servers_of
from bus.provision.permissions import users_of
from bus.provision.server_config import Keys, server_config
from bus.provision.streams import Stream, streams_of
from bus.server import LocalServer
from bus.surroundings import Home
from schemas import names
from schemas.errors import DeadlineExceeded, Unavailable
from schemas.fleet import Fleet

_LEADER_S = 30.0
Ensure = Callable[[Connection, Stream], Awaitable[None]]


def write_files(fleet: Fleet, home: Home) -> Keys:
    """Write keys, trust file, contexts and the server's configuration; what exists already is kept or renewed.

    Keys are made once and never replaced. Returns the public keys.
    """
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = _ensure_keys(fleet, home)
    _write(home.trust, dump_trust(_trust(fleet, home)).decode())
    write_contexts(fleet, home, server_url(fleet))
    _write_configs(fleet, home, keys)
    return keys


def _write_configs(fleet: Fleet, home: Home, keys: Keys, admins: Mapping[str, str] | None = None) -> None:
    secret = _route_secret(home) if fleet.nats.cluster else ""
    for server in servers_of(fleet, home):
        _write(server.config, server_config(fleet, server, keys, admins, secret))


def _route_secret(home: Home) -> str:
    """What the servers of a cluster know each other by; made once."""
    path = home.credentials("cluster") / "route.secret"
    if not path.exists():
        _write(path, secrets.token_urlsafe(32))
    return path.read_text()


def _ensure_keys(fleet: Fleet, home: Home) -> dict[tuple[str, str], str]:
    wanted = {(user.principal, user.credential) for user in users_of(fleet)}
    wanted |= {(producer, names.AUDIT_CREDENTIAL) for producer in _producers(fleet)}
    return {key: create_credential(home.credentials(key[0]) / key[1]).public_key() for key in sorted(wanted)}


def _producers(fleet: Fleet) -> dict[str, str]:
    """Each audit producer and the family of its subjects."""
    services = dict.fromkeys((names.APPROVALS, names.APPLIER), "sys")
    return {**services, **dict.fromkeys(fleet.agents, "agent")}


def _trust(fleet: Fleet, home: Home) -> Trust:
    return {
        f"audit.{family}.{name}.": (Credential(home.credentials(name) / names.AUDIT_CREDENTIAL).public_key(),)
        for name, family in _producers(fleet).items()
    }


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=mode)
    path.write_text(text)


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
    servers = tuple(LocalServer(one.config, one.log, one.host, one.port) for one in servers_of(fleet, home))
    with tempfile.TemporaryDirectory(prefix="agentbus-admin-") as folder:
        accounts = sorted({stream.account for stream in streams_of(fleet)})
        admins = {account: create_credential(Path(folder) / account) for account in accounts}
        _write_configs(fleet, home, keys, {account: admin.public_key() for account, admin in admins.items()})
        try:
            await asyncio.gather(*(server.start() for server in servers))
            await _set_up(servers, fleet, home, keys, admins)
        except BaseException:
            await asyncio.gather(*(server.stop() for server in servers))
            raise
        finally:
            _write_configs(fleet, home, keys)
    return servers


async def _set_up(
    servers: Sequence[LocalServer], fleet: Fleet, home: Home, keys: Keys, admins: dict[str, Credential]
) -> None:
    url = ",".join(server.url for server in servers)
    async with AsyncExitStack() as stack:
        connections: dict[str, Connection] = {}
        for account, admin in admins.items():
            connections[account] = await Connection.open(_profile(url, admin, account))
            stack.push_async_callback(connections[account].close)
        for stream in streams_of(fleet):
            await _patiently(ensure_stream, connections[stream.account], stream)
    _write_configs(fleet, home, keys)
    for server in servers:
        server.reload()
    admin = next(iter(admins.values()))
    await asyncio.gather(*(_until_refused(server, admin) for server in servers))


def _profile(url: str, admin: Credential, account: str) -> Profile:
    name = f"provision-{account}"
    return Profile(url=url, credential=admin, name=name, inbox_prefix="_INBOX", wait_for_server=False)


async def _patiently(ensure: Ensure, connection: Connection, stream: Stream) -> None:
    """Repeat while a new cluster has no leader yet."""
    deadline = time.monotonic() + _LEADER_S
    while True:
        try:
            return await ensure(connection, stream)
        except (Unavailable, DeadlineExceeded, ApiError) as error:
            is_early = not isinstance(error, ApiError) or error.code in NO_LEADER_YET
            if not is_early or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


async def _until_refused(server: LocalServer, admin: Credential) -> None:
    """Return when the server lets provisioning's keys in no more: then the reload is in force."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            connection = await Connection.open(_profile(server.url, admin, "gone"))
        except ConnectionRefused:
            return
        await connection.close()
        await asyncio.sleep(0.02)
    raise NotProvisioned("the server did not drop provisioning's keys on reload; see its log")


async def ensure_stream(connection: Connection, stream: Stream) -> None:
    """Create the stream and its consumers, or check that what exists is the same.

    Raises:
        NotProvisioned: it exists with another configuration; the message names the first difference.
    """
    info = await _info_or_none(connection, f"STREAM.INFO.{stream.name}")
    if info is None:
        info = await call(connection, f"STREAM.CREATE.{stream.name}", stream.config)
    _require_same(stream.name, stream.config, info["config"])
    for consumer in stream.consumers:
        name = str(consumer["durable_name"])
        found = await _info_or_none(connection, f"CONSUMER.INFO.{stream.name}.{name}")
        if found is None:
            body = {"stream_name": stream.name, "config": consumer}
            found = await call(connection, f"CONSUMER.DURABLE.CREATE.{stream.name}.{name}", body)
        _require_same(f"{stream.name}.{name}", consumer, found["config"])


async def _info_or_none(connection: Connection, verb: str) -> dict[str, Any] | None:
    try:
        return await call(connection, verb)
    except ApiError as error:
        if error.code in NOT_FOUND:
            return None
        raise


def _require_same(name: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if found.get(key, type(value)()) != value:
            raise NotProvisioned(
                f"{name} has {key} {found.get(key)!r} where this version provisions {value!r}; "
                "back the stream up and remove it, or run the version that made it"
            )
