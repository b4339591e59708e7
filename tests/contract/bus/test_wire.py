"""What nats-py does when it flushes, connects and loses its connection, each beside ours; rows 12 and 13 of test_connection."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable

import pytest

from schemas import names
from tests.contract.bus.test_connection import _ours, _plain
from tests.harness.admin import administrator
from tests.harness.fleet import Bench, until
from tests.harness.proxy import Proxy

pytestmark = pytest.mark.timeout(60)


async def test_what_was_published_is_at_the_server_after_a_flush(fleet_bench: Bench) -> None:
    """A flush returns when the server has read all that was published; nats-py's is answered before that is sent."""
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    await admin.subscribe("scratch.flush", lambda message: arrived.put_nowait(message.data))
    await admin.flush()
    async with Proxy("127.0.0.1", fleet_bench.fleet.nats.port) as proxy:
        ours, plain = await _ours(fleet_bench, admin, url=proxy.url), await _plain(fleet_bench, admin, proxy.url)
        for publisher in (ours, plain):
            await publisher.flush()
            proxy.hold_after(b"PING\r\n")
            await publisher.publish("scratch.flush", b"x")
            await publisher.flush()
            await admin.flush()
            assert arrived.qsize() == (1 if publisher is ours else 0)
            proxy.heal()
            await arrived.get()


async def test_a_failed_attempt_to_connect_closes_its_socket(fleet_bench: Bench) -> None:
    """While something accepts connections and ends them, each attempt's socket is closed before the next one; nats-py
    leaves it to whenever Python's collector finds it, with a warning."""
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    failures: list[Exception] = []

    async def on_error(error: Exception) -> None:
        failures.append(error)

    async def unclosed(connected: Callable[[], bool], failed: Callable[[], int]) -> int:
        """How many sockets were dropped in an outage of some attempts."""

        async def has_tried() -> bool:
            return failed() > 3

        async def is_back() -> bool:
            return connected()

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            proxy.cut()
            await until(has_tried)
            proxy.heal()
            await until(is_back)
            gc.collect()
        return sum(issubclass(warning.category, ResourceWarning) for warning in caught)

    async with Proxy("127.0.0.1", fleet_bench.fleet.nats.port) as proxy:
        ours = await _ours(fleet_bench, admin, url=proxy.url)
        assert await unclosed(lambda: ours.is_connected, lambda: sum(ours.errors.values())) == 0
        await ours.close()
        options = {"error_cb": on_error, "max_reconnect_attempts": -1, "reconnect_time_wait": 0.05}
        plain = await _plain(fleet_bench, admin, proxy.url, **options)
        assert await unclosed(lambda: plain.is_connected, lambda: len(failures)) > 0


async def test_what_is_published_as_the_connection_is_lost_is_sent_by_the_next_one(fleet_bench: Bench) -> None:
    """The end of the socket is known here before nats-py knows it: what is due then waits, and the loop is left clean."""
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    await admin.subscribe("scratch.lost", lambda message: arrived.put_nowait(message.data))
    await admin.flush()
    ours = await _ours(fleet_bench, admin)
    transport = ours._client._transport._io_writer.transport  # type: ignore[union-attr]
    number = transport.get_extra_info("socket").fileno()
    await ours.publish("scratch.lost", b"kept")
    transport.abort()
    ours._client._transport.writelines([b"by nats-py itself"])  # type: ignore[union-attr]
    await asyncio.sleep(0)
    watched = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
    assert number not in watched
    assert await asyncio.wait_for(arrived.get(), 20) == b"kept"
