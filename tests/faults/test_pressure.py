"""The trail cannot be written for long: work is slowed down, then refused, and nothing of what was taken is lost."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from agents.cli.run import EX_TEMPFAIL
from bus.audit import emit
from bus.audit.read import Reader
from bus.audit.trust import load_trust
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import find_heads, verify_stream
from bus.audit.writing import publisher
from bus.connection import Connection
from bus.jetstream import call
from bus.requests.caller import Caller
from bus.tasks import worker
from schemas import a2a, names
from schemas.errors import TaskNotFound, Unavailable
from tests.contract.agents.skills import Counting, echo
from tests.harness.admin import administrator
from tests.harness.agent import caller, saying, sending, serving, trail
from tests.harness.disk import files_up_to
from tests.harness.fleet import Bench, instance, until

SMALL = 60_000
NO_TRAIL = "the audit trail cannot be written"


async def verified(bench: Bench) -> Report:
    """The verdict on the whole stream, with what this host remembers of it."""
    auditor = await bench.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor"))
    return await verify_stream(Reader(auditor), load_trust(bench.home.trust), find_heads(bench.home.root / "state"))


async def limit(admin: Connection, max_messages: int) -> None:
    """Give the trail room for so many messages, -1 for any number."""
    config = (await call(admin, "STREAM.INFO.AUDIT"))["config"]
    await call(admin, "STREAM.UPDATE.AUDIT", config | {"max_msgs": max_messages})


async def ask(ops: Caller, count: int, what: a2a.SendMessageRequest | None = None) -> Counter[str]:
    """How many of so many requests were answered, and why the others were not."""
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        try:
            await ops.send_message("textstats", what or saying("x"))
            outcomes["answered"] += 1
        except Unavailable as error:
            outcomes[error.message.split(":")[0]] += 1
    return outcomes


async def test_a_trail_without_room_slows_down_then_refuses_then_recovers(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above 80 % of the spool no task is begun; when it is full a request is 503; with room again everything is sent
    in order with a backlog event, and the task is done."""
    monkeypatch.setattr(emit, "_CATCH_UP_S", 0.01)
    counting = Counting()
    async with serving(fleet_bench, "textstats", echo, counting.skill, takes_tasks=False) as agent:
        ops, admin = await caller(fleet_bench), await administrator(fleet_bench, names.AUDIT)
        outcomes = await ask(ops, 1)
        await agent.audit.confirm()  # the stream's only place is taken
        await limit(admin, 1)
        agent.audit._spool._limit = SMALL
        while agent.audit.fill <= 0.8:
            outcomes += await ask(ops, 1)
        task = await ops.leave_task("textstats", saying("a task", skill="counted"))
        looks = _looks(monkeypatch)
        agent.worker.start()
        while NO_TRAIL not in outcomes:
            outcomes += await ask(ops, 1)
        assert set(outcomes) == {"answered", NO_TRAIL}
        assert agent.audit.fill <= 1
        looked = len(looks)

        async def has_looked_again() -> bool:
            return len(looks) > looked + 3

        await until(has_looked_again)
        assert all(looks)
        assert counting.runs == {}
        agent.audit._publisher.now = lambda: time.time_ns() + 60_000_000_000
        await limit(admin, -1)

        async def is_done() -> bool:
            with suppress(TaskNotFound, Unavailable):  # not begun, and nothing can be written down yet
                return (await ops.get_task("textstats", task)).status.state == a2a.COMPLETED
            return False

        await until(is_done, timeout_s=30)
        assert counting.runs == {"a task": 1}
        assert (await ask(ops, 3)) == {"answered": 3}
        events = await trail(fleet_bench, agent)
    kinds = [event.short_type for event in events if event.source == agent.audit.producer.source]
    assert kinds.count("request.received") >= outcomes["answered"] + 3
    assert kinds.index("audit.backlog") > kinds.index("request.received")
    report = await verified(fleet_bench)
    assert (report.verdict, report.findings) == ("sound", ())


async def test_requests_wait_for_the_stream_while_the_spool_fills(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to 80 % of the spool requests do not wait for the stream; above it each waits, and is not begun, until the
    stream has what was told; a stream that stays away is waited for so long and no longer."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill) as agent:
        ops, admin = await caller(fleet_bench), await administrator(fleet_bench, names.AUDIT)
        assert await ask(ops, 1) == {"answered": 1}
        await agent.audit.confirm()  # the stream's only place is taken
        await limit(admin, 1)
        agent.audit._spool._limit = SMALL
        monkeypatch.setattr(emit, "_CATCH_UP_S", 60)
        while agent.audit.fill <= 0.8:
            assert await ask(ops, 1) == {"answered": 1}
        assert 0.8 < agent.audit.fill < 0.9
        before = counting.runs["x"]
        await agent.responder._running.settle()
        asking = asyncio.ensure_future(ask(ops, 1))

        async def waits() -> bool:
            return len(agent.responder._running) > 0

        await until(waits)
        assert (asking.done(), counting.runs["x"]) == (False, before)
        await limit(admin, -1)
        assert await asking == {"answered": 1}
        assert agent.audit.fill < 0.8
        await limit(admin, 1)
        while agent.audit.fill <= 0.8:
            assert await ask(ops, 1) == {"answered": 1}
        monkeypatch.setattr(emit, "_CATCH_UP_S", 0.01)
        assert await ask(ops, 1) == {"answered": 1}
        await limit(admin, -1)
        await agent.audit.confirm(20)


async def test_a_full_spool_refuses_with_advice(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the spool takes no more, a request is 503: it says what is full, what empties it and when to ask again."""
    monkeypatch.setattr(emit, "_CATCH_UP_S", 0.01)
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill) as agent:
        ops = await caller(fleet_bench)
        before, agent.audit._spool._limit = agent.audit._spool._limit, 1
        with pytest.raises(Unavailable, match=f"{NO_TRAIL}.*is full.*when the server is back") as refusal:
            await ops.send_message("textstats", saying("x"))
        assert float(refusal.value.metadata["retry_after_s"]) > 0
        assert counting.runs == {}
        agent.audit._spool._limit = before
        assert await ask(ops, 1) == {"answered": 1}


@pytest.mark.parametrize("room", [0, 300])
async def test_a_full_disk_refuses_requests_and_loses_nothing(fleet_bench: Bench, room: int) -> None:
    """While the spool cannot be written, wholly or in the middle of an event, each request is 503 and nothing of it is
    done; with room again requests are answered, and all that was answered is on the trail."""
    counting = Counting()
    async with serving(fleet_bench, "textstats", counting.skill) as agent:
        ops = await caller(fleet_bench)
        assert await ask(ops, 3) == {"answered": 3}
        await agent.audit.confirm()
        with files_up_to(room):
            assert await ask(ops, 3) == {NO_TRAIL: 3}
        assert await ask(ops, 3) == {"answered": 3}
        received = await trail(fleet_bench, agent, kind="request.received")
    assert counting.runs == {"x": 6}
    assert len(received) == 6
    report = await verified(fleet_bench)
    assert (report.verdict, report.findings) == ("sound", ())


async def test_a_disk_that_fails_fsync_refuses_requests(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that says that it lost what it had is not trusted again: requests are 503 until the process is restarted,
    and the next process sends what was taken."""
    async with serving(fleet_bench, "textstats", echo) as agent:
        ops, admin = await caller(fleet_bench), await administrator(fleet_bench, names.AUDIT)
        assert await ask(ops, 3) == {"answered": 3}
        await agent.audit.confirm()
        await limit(admin, 1)
        with monkeypatch.context() as patched:
            patched.setattr(publisher, "sync", _failing)
            assert await ask(ops, 1) == {"answered": 1}

            async def is_stopped() -> bool:
                return agent.audit.problem is not None

            await until(is_stopped)
        await limit(admin, -1)
        assert await ask(ops, 3) == {NO_TRAIL: 3}
    async with serving(fleet_bench, "textstats", echo) as agent:
        assert await ask(await caller(fleet_bench), 1) == {"answered": 1}
        received = await trail(fleet_bench, agent, kind="request.received")
    assert len(received) == 5
    report = await verified(fleet_bench)
    assert (report.verdict, report.findings) == ("sound", ())


async def test_a_process_whose_disk_fails_fsync_ends(fleet_bench: Bench, tmp_path: Path) -> None:
    """It says why and ends with an error, so that its supervisor starts another, which sends what the spool holds."""
    ops, admin = await caller(fleet_bench), await administrator(fleet_bench, names.AUDIT)
    state, count = tmp_path / "state", sending({"text": "x"})

    async def is_answered() -> bool:
        return "answered" in await ask(ops, 1, count)

    with instance(fleet_bench.home, "textstats", "0", state, "tests.faults.failing_disk") as process:
        await until(is_answered)
        await limit(admin, 1)

        async def has_ended() -> bool:
            await ask(ops, 1, count)
            return process.poll() is not None

        await until(has_ended, timeout_s=20)
    assert process.returncode == EX_TEMPFAIL
    assert "the audit spool cannot be made durable: [Errno 5]" in (state / "output").read_text().splitlines()[-1]
    waiting = (state / "audit" / "spool").read_bytes().count(b"agentbus.request.received")
    await limit(admin, -1)
    before = len(await trail(fleet_bench, kind="request.received"))
    with instance(fleet_bench.home, "textstats", "0", state):
        await until(is_answered)

        async def is_sent() -> bool:
            return len(await trail(fleet_bench, kind="request.received")) > before + waiting

        await until(is_sent)
    assert waiting
    report = await verified(fleet_bench)
    assert (report.verdict, report.findings) == ("sound", ())


def _looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What a worker finds each time that it looks whether the spool is too full to take a task."""
    looks: list[bool] = []
    is_filling = vars(emit.Audit)["is_filling"].fget

    def looked(audit: emit.Audit) -> bool:
        looks.append(is_filling(audit))
        return looks[-1]

    monkeypatch.setattr(emit.Audit, "is_filling", property(looked))
    monkeypatch.setattr(worker, "_RETRY_S", 0.01)
    return looks


def _failing(descriptor: int) -> None:
    os.close(descriptor)
    raise OSError(errno.EIO, "planted: input/output error")
