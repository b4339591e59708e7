"""A key that is taken out of a running server's configuration, and one that comes back."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from agents.processes.signs import Signs
from bus.connection import Connection
from bus.credentials import Credential, create_credential
from bus.errors import ConnectionRefused
from bus.refusals import Patience
from schemas import names
from tests.harness.fleet import Bench, until

SOON = Patience(times=3, for_s=0)


def replaced(fleet: Bench, principal: str, credential: str) -> str:
    """Put a stranger's key in the place of this one; returns the configuration as it was."""
    config = fleet.home.server_config
    before = config.read_text()
    public = Credential.find(fleet.home.credentials(principal), credential).public_key()
    assert before.count(public) == 1
    config.write_text(before.replace(public, create_credential(fleet.home.root / "stranger").public_key()))
    fleet.server.reload()
    return before


async def is_refused(connection: Connection) -> bool:
    """Whether the server has refused its key since it was let in."""
    return connection._logins_refused.count > 0


async def test_a_key_that_is_gone_ends_the_connection(fleet_bench: Bench) -> None:
    """After so many refusals the process is told to end, and why in one sentence; nothing of the key is in it."""
    signs = Signs()
    connection = await fleet_bench.connect("textstats", on_closed=signs.on_closed, refused=SOON)
    other = await fleet_bench.connect("concierge", refused=SOON)
    replaced(fleet_bench, "textstats", names.BUS_CREDENTIAL)
    await asyncio.wait_for(signs.wait(), 20)
    assert "refused the key of textstats.bus.nk 3 times" in signs.failure
    assert connection.profile.credential.public_key() not in signs.failure
    assert not connection.is_connected
    await other.flush()


async def test_a_key_that_comes_back_is_let_in(fleet_bench: Bench) -> None:
    """A reload that lets the key in a moment later costs a connection and no process; then refusals count from none."""
    signs, back = Signs(), asyncio.Event()
    connection = await fleet_bench.connect(
        "textstats", on_closed=signs.on_closed, on_reconnected=lambda _: back.set()
    )  # fmt: skip
    before = replaced(fleet_bench, "textstats", names.BUS_CREDENTIAL)
    await until(lambda: is_refused(connection))
    fleet_bench.home.server_config.write_text(before)
    fleet_bench.server.reload()
    await asyncio.wait_for(back.wait(), 20)
    await connection.flush()
    assert (signs.failure, await is_refused(connection)) == ("", False)


async def test_a_server_that_restarts_refuses_nobody(fleet_bench: Bench) -> None:
    """However little patience there is: a server that is away, or not up yet, is not one that refuses the key."""
    signs, back = Signs(), asyncio.Event()
    connection = await fleet_bench.connect(
        "textstats", on_closed=signs.on_closed, on_reconnected=lambda _: back.set(), refused=Patience(times=1, for_s=0)
    )
    await fleet_bench.server.stop()

    async def was_tried() -> bool:
        return connection.errors.get("ConnectionRefusedError", 0) + connection.errors.get("OSError", 0) >= 3

    await until(was_tried)
    await fleet_bench.server.start()
    await asyncio.wait_for(back.wait(), 20)
    await connection.flush()
    assert signs.failure == ""


async def test_a_service_whose_key_was_never_there_does_not_wait_for_ever(fleet_bench: Bench) -> None:
    """The first connection too is over after so many refusals, although a service waits for a server that is away."""
    stranger = create_credential(fleet_bench.home.root / "stranger")
    known = fleet_bench.profile("textstats", names.BUS_CREDENTIAL)
    profile = dataclasses.replace(known, credential=stranger, refused=Patience(times=2, for_s=0))
    with pytest.raises(ConnectionRefused, match=r"refused the key of .* 2 times"):
        await asyncio.wait_for(Connection.open(profile), 20)
