"""What nats-py 2.16 does that is worked around, one test each; where practical the plain client is shown beside ours.

A test here whose half about the plain client fails is good news: nats-py mended it, and our part may go.

| nats-py | test |
|---|---|
| 1 payload and headers over `max_payload` close the client | `test_a_message_over_the_limit_is_refused…` |
| 2 `drain` takes the replies of running handlers | `test_a_handler_that_runs_while_draining_can_store` |
| 3 handlers one at a time, cancelled by stopping | test_drain: `test_draining_answers_everything_that_was_accepted` |
| 4 an exception's `repr` reaches the caller | test_requests: `test_a_handlers_error_is_internal…` |
| 5 an acknowledgement lost over a reconnect is awaited for ever | `test_a_lost_acknowledgement_is_an_unknown_outcome…` |
| 6 a publish during an outage is accepted; one that a stream has no room for is dropped in silence | `test_nothing_is_accepted_while_the_server_is_away`, `test_what_a_busy_stream_takes…` |
| 7 `fetch` stalls | `test_a_pull_returns_what_is_there_at_once` |
| 8 a deleted consumer is a time-out, then a hot loop | `test_a_deleted_consumer_is_named…`; test_task_worker: `test_a_deleted_consumer_is_asked_for…` |
| 9 time-outs of 0.5 s, 60 reconnects, dead peers | test_connection_profile |
| 10 headers are changed; violations only in `error_cb` | `test_a_callers_headers…`, `test_a_refused_request…` |
| 11 dead consumers after restarts; blocked loops | test_task_worker: `test_tasks_are_taken…`; unit/test_notify, system/test_units_boot |
| 12 the PING of `flush` goes before what is unsent | test_wire: `test_what_was_published_is_at_the_server…` |
| 13 the socket of a failed attempt to connect is dropped, not closed | test_wire: `test_a_failed_attempt_to_connect…` |
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from bus import headers as strict_headers
from bus.background import Background
from bus.connection import Connection, Msg, Profile
from bus.errors import NotProvisioned
from bus.jetstream import Puller, call, store
from schemas import names
from schemas.errors import PayloadTooLarge, PermissionDenied, Unavailable, UnknownOutcome
from tests.harness.admin import admin_profile, administrator, stored_count
from tests.harness.agent import caller, saying
from tests.harness.fleet import Bench, until
from tests.harness.proxy import Proxy

pytestmark = pytest.mark.timeout(60)
STREAM, SUBJECT, CONSUMER = "SCRATCH", "scratch.a", "reader"
HOUR_S = 3600
MANY = 300


async def _scratch(bench: Bench) -> Connection:
    """An administrator of the shared account, with a stream and a pull consumer of the test."""
    admin = await administrator(bench, names.ACCOUNT_BUS)
    await call(
        admin,
        f"STREAM.CREATE.{STREAM}",
        {"name": STREAM, "subjects": ["scratch.>"], "storage": "file", "max_bytes": 1_000_000},
    )
    await _consumer(admin)
    return admin


async def _consumer(admin: Connection) -> None:
    config = {"durable_name": CONSUMER, "ack_policy": "explicit", "deliver_policy": "new"}
    await call(admin, f"CONSUMER.DURABLE.CREATE.{STREAM}.{CONSUMER}", {"stream_name": STREAM, "config": config})


async def _plain(bench: Bench, admin: Connection, url: str = "", **options: Any) -> Client:
    """nats-py as it is, with the administrator's key."""

    async def ignore(_: Exception) -> None: ...

    settings: dict[str, Any] = {"nkeys_seed": str(admin.profile.credential.path), "error_cb": ignore}
    client = await nats.connect(url or bench.server.url, **settings | options)
    bench.stack.push_async_callback(client.close)
    return client


async def _ours(bench: Bench, admin: Connection, **changes: Any) -> Connection:
    """Our connection with the administrator's key, that reconnects."""
    settings: dict[str, Any] = {
        "url": bench.server.url, "credential": admin.profile.credential, "name": "ours", "inbox_prefix": "_INBOX",
    }  # fmt: skip
    connection = await Connection.open(Profile(**settings | changes))
    bench.stack.push_async_callback(connection.close)
    return connection


async def test_a_message_over_the_limit_is_refused_and_the_connection_lives(fleet_bench: Bench) -> None:
    """Payload and headers count together: at the limit they pass, one byte more is refused before it is sent."""
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    ours = await _ours(fleet_bench, admin)
    headers = {"Some": "header"}
    room = ours.max_payload_bytes - len(strict_headers.encode(headers))
    arrived: asyncio.Queue[int] = asyncio.Queue()

    def on_message(message: Msg) -> None:
        arrived.put_nowait(len(message.data))

    await ours.subscribe("scratch.size", on_message)
    with pytest.raises(PayloadTooLarge):
        await ours.publish("scratch.size", b"x" * (room + 1), headers=headers)
    with pytest.raises(PayloadTooLarge):
        await ours.publish_all([("scratch.size", b"x" * (room + 1), headers)])
    await ours.publish("scratch.size", b"x" * room, headers=headers)
    assert await arrived.get() == room
    assert (ours.errors, ours.reconnects) == ({}, 0)

    plain = await _plain(fleet_bench, admin)
    await plain.publish("scratch.size", b"x" * (room + 1), headers=headers)

    async def is_closed() -> bool:
        return plain.is_closed

    await until(is_closed)


async def test_a_handler_that_runs_while_draining_can_store(fleet_bench: Bench) -> None:
    """Ending a subscription leaves the replies to its running handlers alone; nats-py's `drain` takes them too."""
    admin = await _scratch(fleet_bench)
    ours, plain = await _ours(fleet_bench, admin), await _plain(fleet_bench, admin)
    entered, opened = asyncio.Semaphore(0), asyncio.Event()
    stored: list[int] = []
    failed: list[Exception] = []

    async def store_later(_: Msg) -> None:
        entered.release()
        await opened.wait()
        stored.append(await store(ours, SUBJECT, b"late"))

    async def publish_later(_: Any) -> None:
        entered.release()
        await opened.wait()
        try:
            await plain.request(SUBJECT, b"late", timeout=1)
        except nats.errors.Error as error:
            failed.append(error)

    running = Background()
    subscription = await ours.subscribe("work.ours", lambda message: running.begin(store_later(message)))
    await plain.subscribe("work.plain", cb=publish_later)
    await plain.request(SUBJECT, b"early", timeout=5)  # makes nats-py's one subscription for replies
    await plain.flush()
    await ours.flush()
    for subject in ("work.ours", "work.plain"):
        await admin.publish(subject)
    await entered.acquire()
    await entered.acquire()
    draining = [asyncio.create_task(ours.drain(subscription)), asyncio.create_task(plain.drain())]

    async def is_draining() -> bool:
        return plain.is_draining

    await until(is_draining)
    await admin.flush()
    opened.set()
    await asyncio.gather(*draining)

    async def are_over() -> bool:
        return bool(stored and failed)

    await until(are_over)
    assert ours.is_connected


async def test_a_lost_acknowledgement_is_an_unknown_outcome_and_repeating_is_harmless(fleet_bench: Bench) -> None:
    """What is published into a dead network ends as UnknownOutcome in bounded time; the same id is stored once."""
    admin = await _scratch(fleet_bench)
    async with Proxy("127.0.0.1", fleet_bench.fleet.nats.port) as proxy:
        ours = await _ours(fleet_bench, admin, url=proxy.url)
        plain = await _plain(fleet_bench, admin, proxy.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
        proxy.stall()
        with pytest.raises(UnknownOutcome):
            await store(ours, SUBJECT, b"once", headers={names.MSG_ID: "id-1"}, timeout_s=0.2)
        promised = await plain.jetstream().publish_async("scratch.plain", b"once")
        proxy.cut()
        proxy.heal()

        async def are_back() -> bool:
            return ours.reconnects > 0 and plain.stats["reconnects"] > 0 and ours.is_connected and plain.is_connected

        await until(are_back)
        first = await store(ours, SUBJECT, b"once", headers={names.MSG_ID: "id-1"})
        assert await store(ours, SUBJECT, b"once", headers={names.MSG_ID: "id-1"}) == first
        await plain.flush()
        assert not promised.done()  # and never will be
        promised.cancel()
    answer = await call(admin, f"STREAM.INFO.{STREAM}", {"subjects_filter": SUBJECT})
    assert answer["state"]["subjects"] == {SUBJECT: 1}


async def test_an_acknowledgement_that_comes_too_late_is_looked_up_by_repeating(fleet_bench: Bench) -> None:
    """A message that was stored although its publisher gave up is not stored again under the same id."""
    admin = await _scratch(fleet_bench)
    async with Proxy("127.0.0.1", fleet_bench.fleet.nats.port) as proxy:
        ours = await _ours(fleet_bench, admin, url=proxy.url)
        proxy.stall()
        with pytest.raises(UnknownOutcome):
            await store(ours, SUBJECT, b"once", headers={names.MSG_ID: "id-1"}, timeout_s=0.2)
        proxy.heal()

        async def is_stored() -> bool:
            return await stored_count(admin, STREAM) == 1

        await until(is_stored)
        assert await store(ours, SUBJECT, b"once", headers={names.MSG_ID: "id-1"}) == 1
        assert await stored_count(admin, STREAM) == 1


async def test_nothing_is_accepted_while_the_server_is_away(fleet_bench: Bench) -> None:
    """During an outage each way to send is Unavailable; nats-py takes the message and says nothing."""
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    ours = await _ours(fleet_bench, admin)
    plain = await _plain(fleet_bench, admin, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
    await fleet_bench.server.stop()

    async def have_noticed() -> bool:
        return not ours.is_connected and not plain.is_connected

    await until(have_noticed)
    with pytest.raises(Unavailable):
        await ours.publish("scratch.a", b"x")
    with pytest.raises(Unavailable):
        await ours.publish_all([("scratch.a", b"x", {"A": "b"})])
    with pytest.raises(Unavailable):
        await ours.request("scratch.a", b"x", timeout_s=HOUR_S)
    await plain.publish("scratch.a", b"x")
    await fleet_bench.server.start()

    async def are_back() -> bool:
        return ours.is_connected and plain.is_connected

    await until(are_back, timeout_s=20)


async def test_what_a_busy_stream_takes_is_known(fleet_bench: Bench) -> None:
    """Of more than a stream can take at once each task is stored or refused aloud; what is published without an
    acknowledgement is gone, and nobody is told."""
    key = (await administrator(fleet_bench, names.ACCOUNT_BUS)).profile.credential
    await fleet_bench.server.stop()
    config = fleet_bench.home.server_config
    before, begin, rest = config.read_text().partition("\njetstream: {\n")
    config.write_text(f"{before}{begin}  max_buffered_msgs: 10\n{rest}")
    await fleet_bench.server.start()
    admin = await Connection.open(admin_profile(fleet_bench.url, key))
    fleet_bench.stack.push_async_callback(admin.close)
    plain, ops = await fleet_bench.attacker("ops"), await caller(fleet_bench)

    async def leave() -> bool:
        try:
            await ops.leave_task("textstats", saying("x"))
        except Unavailable:
            return False
        return True

    left = await asyncio.gather(*(leave() for _ in range(MANY)))
    assert 0 < sum(left) < MANY
    assert await stored_count(admin, names.TASKS) == sum(left)
    headers = {names.A2A_VERSION: "1.0"}
    for _ in range(MANY):
        await plain.client.publish("a2a.v1.task.textstats.ops", b"{}", headers=headers)
    await plain.client.request("a2a.v1.task.textstats.ops", b"{}", headers=headers, timeout=10)
    assert await stored_count(admin, names.TASKS) < sum(left) + MANY
    assert plain.errors == []


async def test_a_pull_returns_what_is_there_at_once(fleet_bench: Bench) -> None:
    """Fewer messages than asked for do not make a pull wait, round after round; an hour is allowed, and not waited for."""
    admin = await _scratch(fleet_bench)
    puller = Puller(admin, STREAM, CONSUMER)
    for number in range(15):
        count = 1 + number % 4
        sequences = [await store(admin, SUBJECT, str(number).encode()) for _ in range(count)]
        messages = await puller.pull(10, wait_s=HOUR_S)
        assert [message.data for message in messages] == [str(number).encode()] * len(sequences)
        for message in messages:
            await admin.publish(message.reply, b"+ACK")
    assert await puller.pull(10, wait_s=0) == []


async def test_a_deleted_consumer_is_named_and_works_again_when_it_is_back(fleet_bench: Bench) -> None:
    """A pull that waits learns of the deletion at once, as does the next one; neither is a time-out."""
    admin = await _scratch(fleet_bench)
    puller = Puller(admin, STREAM, CONSUMER)
    pulling = asyncio.create_task(puller.pull(5, wait_s=HOUR_S))

    async def is_waiting() -> bool:
        return int((await call(admin, f"CONSUMER.INFO.{STREAM}.{CONSUMER}"))["num_waiting"]) == 1

    await until(is_waiting)
    await call(admin, f"CONSUMER.DELETE.{STREAM}.{CONSUMER}")
    with pytest.raises(NotProvisioned, match="agentbus provision"):
        await pulling
    with pytest.raises((NotProvisioned, Unavailable)):
        await puller.pull(5, wait_s=HOUR_S)
    await _consumer(admin)
    await store(admin, SUBJECT, b"again")
    assert [message.data for message in await puller.pull(5, wait_s=HOUR_S)] == [b"again"]


async def test_a_callers_headers_are_left_alone(fleet_bench: Bench) -> None:
    """Headers handed to us are the caller's; nats-py's publish writes into them."""
    admin = await _scratch(fleet_bench)
    plain = await _plain(fleet_bench, admin)
    mine, theirs = {"Some": "header"}, {"Some": "header"}
    await store(admin, SUBJECT, b"x", headers=mine)
    await admin.publish(SUBJECT, b"x", headers=mine)
    await plain.jetstream().publish(SUBJECT, b"x", headers=theirs, stream=STREAM)
    assert mine == {"Some": "header"}
    assert theirs != {"Some": "header"}


async def test_a_refused_request_fails_at_once_and_is_reported(fleet_bench: Bench) -> None:
    """The server's refusal reaches the one who waits, and the process; nats-py's publish just succeeds."""
    calls = await caller(fleet_bench, "textstats")
    with pytest.raises(PermissionDenied):
        await calls.send_message("greeter", saying("a"), timeout_s=HOUR_S)
    assert len(fleet_bench.violations) == 1
    plain = await fleet_bench.attacker("textstats")
    await plain.client.publish("a2a.v1.req.greeter.textstats.SendMessage", b"{}")

    async def is_told() -> bool:
        return len(plain.errors) == 1

    await until(is_told)


async def test_a_subscription_is_ended_though_the_server_stands_still(fleet_bench: Bench) -> None:
    """What was on its way is waited for, but not for ever: a process that has to end ends."""
    bus = await fleet_bench.connect("textstats")
    subscription = await bus.subscribe("a2a.v1.req.textstats.>", lambda _: None)
    server = fleet_bench.server.process
    server.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            await bus.drain(subscription, 0.05)
    finally:
        server.send_signal(signal.SIGCONT)
