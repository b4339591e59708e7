"""The fleet's server for an administrator's work: it lets in one key that lives as long, and nobody else."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bus.connection import Connection, Profile
from bus.credentials import create_credential
from bus.errors import NotProvisioned
from bus.provision.members import servers_of
from bus.provision.server_config import closed_config
from bus.provision.store_key import ensure_store_key
from bus.server import LocalServer
from bus.surroundings import Home
from schemas.fleet import Fleet


@asynccontextmanager
async def administered(fleet: Fleet, home: Home, account: str) -> AsyncIterator[Connection]:
    """A connection that may do everything in `account` of the stopped fleet's server, which runs for as long.

    It listens where it always does, so that it does not start beside one that runs. Key and configuration lie in a
    temporary folder, readable by its owner only; the fleet's own configuration stays as it is.

    Raises:
        NoServer: it does not start, as when the fleet runs. NotProvisioned: there is a cluster, or no key of the store.
    """
    if fleet.nats.cluster:
        raise NotProvisioned("this fleet has a cluster; this is for a fleet with one server")
    (here,) = servers_of(fleet, home)
    with tempfile.TemporaryDirectory(prefix="agentbus-admin-") as folder:
        key = create_credential(Path(folder) / account)
        config = Path(folder) / "nats-server.conf"
        config.write_text(closed_config(fleet, here, {account: key.public_key()}))
        server = LocalServer(
            config,
            here.log,
            here.host,
            here.port,
            store=here.store,
            environment=ensure_store_key(fleet, home),
            ca=here.tls.ca if here.tls else None,
        )
        try:
            await server.start()
            profile = Profile(
                url=server.url, credential=key, name="administrator", inbox_prefix="_INBOX", wait_for_server=False
            )
            connection = await Connection.open(profile)
            try:
                yield connection
            finally:
                await connection.close()
        finally:
            await server.stop()
