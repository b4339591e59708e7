"""An administrator of one account: what provisioning is for a moment, a test may be for longer.

It looks into streams and consumers that nobody in service may look into, and breaks what nobody may break.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bus.connection import Connection, Profile
from bus.credentials import Credential, create_credential
from bus.jetstream import call
from bus.provision.archive_list import read_archives
from bus.provision.members import Server, servers_of
from bus.provision.provision import route_secret, write_files
from bus.provision.server_config import server_config
from tests.harness.fleet import Bench, until

_RELOADED = "Reloaded server configuration"
"""What the server logs; before that, its JetStream API may fall silent for a moment."""


async def administrator(bench: Bench, account: str) -> Connection:
    """A connection that may do everything in `account`, let in by a reload of the running server, or servers."""
    return (await administrators(bench, (account,)))[account]


async def administrators(bench: Bench, accounts: Iterable[str]) -> dict[str, Connection]:
    """One for each account, until others are let in: the next reload shuts these out.

    Those of a cluster outlive the server that they are connected to.
    """
    keys = {account: create_credential(bench.home.root / "test-admin" / account) for account in accounts}
    await _let_in(bench, {account: key.public_key() for account, key in keys.items()})
    url, is_cluster = ",".join(server.url for server in bench.running), len(bench.running) > 1
    connections = {
        account: await Connection.open(replace(admin_profile(url, key), wait_for_server=is_cluster))
        for account, key in keys.items()
    }
    for connection in connections.values():
        bench.stack.push_async_callback(connection.close)
    return connections


async def _let_in(bench: Bench, admins: dict[str, str]) -> None:
    keys = write_files(bench.fleet, bench.home)
    secret = route_secret(bench.home) if bench.fleet.nats.cluster else ""
    members = servers_of(bench.fleet, bench.home)
    for number, member in enumerate(members):
        text = server_config(bench.fleet, member, keys, admins, secret, read_archives(bench.home))
        member.config.write_text(bench.configured(text, number))
    before = [_reloads(member) for member in members]
    for server in bench.running:
        server.reload()

    async def are_in_force() -> bool:
        return all(_reloads(member) > count for member, count in zip(members, before, strict=True))

    await until(are_in_force, timeout_s=30)


def _reloads(member: Server) -> int:
    return member.log.read_text(errors="replace").count(_RELOADED)


def admin_profile(url: str, key: Credential) -> Profile:
    """How an administrator connects: once, or not at all."""
    return Profile(url=url, credential=key, name="admin", inbox_prefix="_INBOX", wait_for_server=False)


async def consumer_state(admin: Connection, stream: str, consumer: str) -> dict[str, Any]:
    """Of a durable consumer: what is not delivered, and what is not acknowledged."""
    return await call(admin, f"CONSUMER.INFO.{stream}.{consumer}")


async def stored_count(admin: Connection, stream: str) -> int:
    """How many messages a stream holds."""
    info = await call(admin, f"STREAM.INFO.{stream}")
    return int(info["state"]["messages"])


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file's content by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
