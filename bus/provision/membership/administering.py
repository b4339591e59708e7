"""A running server with provisioning's own keys for as long as something is changed; others keep their connections.

    first reading   what is new is there, and provisioning's keys are let in
    second reading  imports of new accounts work from this one on; it is told from the first by another key
    work            streams, probes, the trail
    third reading   provisioning's keys are refused

Measured on nats-server 2.15: no reading closes a connection but those of users that are not in the configuration
any more. Those it closes at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from bus.connection import Connection
from bus.credentials import Credential, create_credential
from bus.provision.members import servers_of
from bus.provision.moment import momentary_folder
from bus.provision.provision import (
    Running,
    admin_profile,
    ensure_stream,
    patiently,
    reloaded,
    write_configs,
    write_files,
)
from bus.provision.server_config import Keys
from bus.provision.streams import streams_of
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet

Admins = Mapping[str, Connection]
"""By account: a connection that may do everything in it."""


@asynccontextmanager
async def administering(fleet: Fleet, home: Home, keys: Keys, servers: Sequence[Running]) -> AsyncIterator[Admins]:
    """Have running servers do what `fleet` says, and lend a connection to each account that has streams.

    Raises:
        NotProvisioned: a server does not take the configuration; it goes on with the one that it had.
    """
    write = partial(write_configs, fleet, home, keys)
    with momentary_folder() as folder:
        accounts = sorted({stream.account for stream in streams_of(fleet)})
        admins = {account: create_credential(Path(folder) / account) for account in accounts}
        first, last = create_credential(Path(folder) / "first"), admins[names.ACCOUNT_PARTS]
        try:
            write(admins=_public({**admins, names.ACCOUNT_PARTS: first}))
            await reloaded(servers, first, lets_in=True)
            write(admins=_public(admins))
            await reloaded(servers, last, lets_in=True)
            async with _connected(servers, admins) as connections:
                yield connections
        finally:
            write()
        await reloaded(servers, last, lets_in=False)


async def provision_running(fleet: Fleet, home: Home, servers: Sequence[Running]) -> None:
    """Have running servers hold and do everything that `fleet` says; connections that stay allowed are kept.

    Raises:
        NotProvisioned: a server does not take the configuration, or a stream exists with another one.
    """
    keys = write_files(fleet, home)
    async with administering(fleet, home, keys, servers) as admins:
        ensure = partial(ensure_stream, stores=tuple(one.store for one in servers_of(fleet, home)))
        for stream in streams_of(fleet):
            await patiently(partial(ensure, stream=stream), admins[stream.account])


def _public(admins: Mapping[str, Credential]) -> dict[str, str]:
    return {account: admin.public_key() for account, admin in admins.items()}


@asynccontextmanager
async def _connected(servers: Sequence[Running], admins: Mapping[str, Credential]) -> AsyncIterator[Admins]:
    url = ",".join(server.url for server in servers)
    async with AsyncExitStack() as stack:
        connections = {}
        for account, admin in admins.items():
            connections[account] = await Connection.open(admin_profile(url, admin, account))
            stack.push_async_callback(connections[account].close)
        yield connections
