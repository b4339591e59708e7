"""From a fleet file to a server that carries it: files first, then streams with a key that is then taken away.

The right to create streams exists only while `start_server` sets up: the server starts with an
administrator's key per account that lives in a temporary folder, and is reloaded without it; then the
folder is gone, and the key would open nothing.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bus.audit.trust import Trust, dump_trust
from bus.connection import Connection, Profile
from bus.credentials import Credential, create_credential
from bus.errors import NotProvisioned
from bus.jetstream import NOT_FOUND, ApiError, call
from bus.provision.contexts import write_contexts
from bus.provision.permissions import users_of
from bus.provision.server_config import Keys, server_config
from bus.provision.streams import Stream, streams_of
from bus.server import LocalServer
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet


def server_url(fleet: Fleet) -> str:
    """Where this fleet's server listens."""
    return f"nats://{fleet.nats.host}:{fleet.nats.port}"


def write_files(fleet: Fleet, home: Home) -> Keys:
    """Write keys, trust file, contexts and the server's configuration; what exists already is kept or renewed.

    Keys are made once and never replaced. Returns the public keys.
    """
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = _ensure_keys(fleet, home)
    _write(home.trust, dump_trust(_trust(fleet, home)).decode())
    write_contexts(fleet, home, server_url(fleet))
    _write(home.server_config, server_config(fleet, home, keys))
    return keys


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
    """Start this fleet's server with everything it must hold, and nobody left who could change that.

    Raises:
        NoServer: it does not start. NotProvisioned: a stream exists with another configuration.
    """
    keys = write_files(fleet, home)
    server = LocalServer(home.server_config, home.root / "log" / "nats-server.log", fleet.nats.host, fleet.nats.port)
    with tempfile.TemporaryDirectory(prefix="agentbus-admin-") as folder:
        accounts = sorted({stream.account for stream in streams_of(fleet)})
        admins = {account: create_credential(Path(folder) / account) for account in accounts}
        public = {account: admin.public_key() for account, admin in admins.items()}
        _write(home.server_config, server_config(fleet, home, keys, public))
        await server.start()
        try:
            await _set_up(server, fleet, home, keys, admins)
        except BaseException:
            await server.stop()
            raise
        finally:
            _write(home.server_config, server_config(fleet, home, keys))
    return server


async def _set_up(server: LocalServer, fleet: Fleet, home: Home, keys: Keys, admins: dict[str, Credential]) -> None:
    closed = asyncio.Event()
    async with AsyncExitStack() as stack:
        connections: dict[str, Connection] = {}
        for account, admin in admins.items():
            profile = Profile(
                url=server.url, credential=admin, name=f"provision-{account}", inbox_prefix="_INBOX",
                wait_for_server=False, on_closed=lambda _name: closed.set(),
            )  # fmt: skip
            connections[account] = await Connection.open(profile)
            stack.push_async_callback(connections[account].close)
        for stream in streams_of(fleet):
            await ensure_stream(connections[stream.account], stream)
        # The reload ends the administrators' own connections: that is how it is known to be in force.
        _write(home.server_config, server_config(fleet, home, keys))
        server.reload()
        try:
            await asyncio.wait_for(closed.wait(), 10)
        except TimeoutError:
            raise NotProvisioned("the server did not drop provisioning's keys on reload; see its log") from None


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
