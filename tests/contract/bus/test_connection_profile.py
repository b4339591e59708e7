"""The connection's profile against a real server: how it waits, how it comes back, and whom it tells."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlparse

import nats
import nats.errors
import pytest
from nats.aio.client import Srv

from agents.cli.run import exit_code
from agents.processes.signs import Signs
from bus.background import Background
from bus.connection import Connection, Msg, _next_server
from bus.errors import ConnectionRefused
from schemas import names
from tests.harness.admin import administrator
from tests.harness.fleet import Bench, until
from tests.harness.proxy import Proxy

PROFILE = {
    "max_reconnect_attempts": -1,
    "ping_interval": 20,
    "max_outstanding_pings": 2,
    "connect_timeout": 5,
    "allow_reconnect": True,
}


async def test_the_profile_is_what_the_design_says(fleet_bench: Bench) -> None:
    """Reconnecting has no end, dead peers are looked for, and each wait has a bound of ours."""
    connection = await fleet_bench.connect("textstats")
    options: dict[str, Any] = connection._client.options
    assert {name: options[name] for name in PROFILE} == PROFILE
    assert connection._client._flush_timeout == 10
    assert connection._client._max_pending_size == 8 * 1024 * 1024
    assert connection._client._inbox_prefix == names.inbox_prefix("textstats").encode()


async def test_a_command_does_not_wait_for_a_server(fleet_bench: Bench) -> None:
    """Without `wait_for_server` a server that is away is an error at once, that says what to look at."""
    await fleet_bench.server.stop()
    with pytest.raises(ConnectionRefused, match="is the server up"):
        await fleet_bench.connect("textstats", wait_for_server=False)


async def test_an_answer_may_take_longer_than_nats_py_waits(fleet_bench: Bench) -> None:
    """An answer counts until the time that the asker named; nats-py gives up after half a second by itself."""
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    given_up = asyncio.Event()

    async def answer_late(message: Msg) -> None:
        await given_up.wait()
        await admin.publish(message.reply, b"late")

    running = Background()
    await admin.subscribe("scratch.slow", lambda message: running.begin(answer_late(message)))
    plain = await nats.connect(fleet_bench.server.url, nkeys_seed=str(admin.profile.credential.path))
    fleet_bench.stack.push_async_callback(plain.close)
    asked = asyncio.create_task(admin.request("scratch.slow", b"ours", timeout_s=30))
    with pytest.raises(nats.errors.TimeoutError):
        await plain.request("scratch.slow", b"plain")
    given_up.set()
    assert (await asked).data == b"late"


@pytest.mark.timeout(30)
async def test_a_dead_peer_is_noticed_and_left(fleet_bench: Bench) -> None:
    """A network that carries nothing and closes nothing is noticed by pings, and the connection is made anew."""
    told: list[str] = []
    async with Proxy("127.0.0.1", fleet_bench.fleet.nats.port) as proxy:
        connection = await fleet_bench.connect(
            "textstats", url=proxy.url, ping_interval_s=0.1,
            on_disconnected=lambda _: told.append("disconnected"), on_reconnected=lambda _: told.append("reconnected"),
        )  # fmt: skip
        proxy.stall()

        async def has_noticed() -> bool:
            return not connection.is_connected

        await until(has_noticed)
        proxy.heal()

        async def is_back() -> bool:
            return connection.is_connected and "reconnected" in told

        await until(is_back, timeout_s=20)
        await connection.flush()
    assert told[:2] == ["disconnected", "reconnected"]


async def test_an_end_for_good_ends_the_process_with_an_error(fleet_bench: Bench) -> None:
    """When the client gives a connection up, the process is told to end, and not with 0; closing it ourselves is no news."""
    signs = Signs()
    doomed = await fleet_bench.connect("textstats", on_closed=signs.on_closed)
    fine = await fleet_bench.connect("textstats", on_closed=signs.on_closed)
    await fine.close()
    assert signs.failure == ""
    await doomed._client.publish("a2a.v1.hb.textstats", b"x" * doomed.max_payload_bytes, headers={"A": "b"})
    await asyncio.wait_for(signs.wait(), 30)
    assert "textstats.bus.nk" in signs.failure
    assert exit_code(ConnectionRefused(signs.failure)) != 0


async def test_errors_are_counted_by_type(fleet_bench: Bench) -> None:
    """Each error that nats-py reports beside the calls is counted, and violations are handed on."""
    connection: Connection = await fleet_bench.connect("textstats")
    for _ in range(3):
        await connection.publish("not.allowed", b"x")
    await connection.flush()

    async def are_counted() -> bool:
        return sum(connection.errors.values()) == 3

    await until(are_counted)
    assert len(connection.errors) == 1
    assert len(fleet_bench.violations) == 3


def test_the_delay_before_reconnecting_is_jittered_and_bounded() -> None:
    """It grows from 25 to 50 ms up to 1 to 2 s and no further, is not the same for all, and the least tried server is next."""
    delays: dict[int, list[float]] = {}
    for tries in (0, 1, 6, 1000):
        server = Srv(urlparse("nats://127.0.0.1:1"), reconnects=tries)
        delays[tries] = [_next_server([server], {})[1] for _ in range(200)]
        longest = min(2.0, 0.05 * 2 ** min(tries, 6))
        assert longest / 2 <= min(delays[tries]) < max(delays[tries]) <= longest
    tried = [Srv(urlparse(f"nats://127.0.0.1:{port}"), reconnects=port) for port in (3, 1, 2)]
    assert _next_server(tried, {})[0] is tried[1]
