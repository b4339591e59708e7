"""An administrator of one account: what provisioning is for a moment, a test may be for longer.

It looks into streams and consumers that nobody in service may look into, and breaks what nobody may break.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bus.connection import Connection, Profile
from bus.credentials import Credential, create_credential
from bus.jetstream import call
from bus.provision.members import servers_of
from bus.provision.provision import write_files
from bus.provision.server_config import server_config
from tests.harness.fleet import Bench, until

_RELOADED = "Reloaded server configuration"
"""What the server logs; before that, its JetStream API may fall silent for a moment."""


async def administrator(bench: Bench, account: str) -> Connection:
    """A connection that may do everything in `account`, let in by a reload of the running server."""
    key = create_credential(bench.home.root / "test-admin" / account)
    keys = write_files(bench.fleet, bench.home)
    text = server_config(bench.fleet, servers_of(bench.fleet, bench.home)[0], keys, {account: key.public_key()})
    bench.home.server_config.write_text(text)
    log = bench.home.root / "log" / "nats-server.log"
    before = log.read_text().count(_RELOADED)
    bench.server.reload()

    async def is_in_force() -> bool:
        return log.read_text().count(_RELOADED) > before

    await until(is_in_force)
    connection = await Connection.open(admin_profile(bench.server.url, key))
    bench.stack.push_async_callback(connection.close)
    return connection


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
