"""The fleet's server for an administrator's work: it lets in one key that lives as long, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bus.connection import Connection, Profile
from bus.credentials import create_credential
from bus.errors import NotProvisioned
from bus.provision.members import Server, servers_of
from bus.provision.moment import momentary_folder
from bus.provision.server_config import closed_config
from bus.provision.store_key import ensure_store_key
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
    async with administering(fleet, here, ensure_store_key(fleet, home), (account,)) as connections:
        yield connections[account]


@asynccontextmanager
async def administering(
    fleet: Fleet, server: Server, environment: Path | None, accounts: Sequence[str]
) -> AsyncIterator[Mapping[str, Connection]]:
    """The same of any server of a fleet, its store's key in `environment`: a connection for each of these accounts."""
    with momentary_folder() as folder:
        keys = {account: create_credential(Path(folder) / account) for account in accounts}
        config = Path(folder) / "nats-server.conf"
        config.write_text(closed_config(fleet, server, {account: key.public_key() for account, key in keys.items()}))
        local = server.local(environment, config)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(local.stop)
            await local.start()
            connections = {}
            for account, key in keys.items():
                profile = Profile(
                    url=local.url, credential=key, name="administrator", inbox_prefix="_INBOX", wait_for_server=False
                )
                connections[account] = await Connection.open(profile)
                stack.push_async_callback(connections[account].close)
            yield connections
