"""The store's key is replaced, with the fleet stopped: everything is there under the new one, and nothing under the old."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bus.connection import Connection, Msg
from bus.errors import NoServer
from bus.jetstream import call, store
from bus.provision.closed import administered
from bus.provision.store_copy import accounts_in, look
from bus.server import require_free_port
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet
from tests.contract.audit.test_audit_backup import told
from tests.harness.admin import administrator
from tests.harness.command import agentbus
from tests.harness.fleet import CHECKOUT, Bench, bench, until
from tests.tamper.store import records_of, running, sealed, verified

pytestmark = pytest.mark.timeout(180)


async def _rotate(home: Home) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(agentbus, "fleet", "rotate", "--store", "--home", home.root)


async def _killed(home: Home, fleet: Fleet) -> None:
    """The command is killed as it copies, and the servers that it ran have ended."""
    command = [sys.executable, "-m", "agents.cli", "fleet", "rotate", "--store", "--home", str(home.root)]
    process = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    copied = home.store / "rotation" / "jetstream" / names.ACCOUNT_AUDIT

    async def is_copying() -> bool:
        assert process.returncode is None
        return copied.exists()

    await until(is_copying)
    process.kill()
    await process.wait()

    async def is_quiet() -> bool:
        with suppress(NoServer):
            require_free_port(fleet.nats.host, fleet.nats.port)
            return True
        return False

    await until(is_quiet)


async def _whole(fleet: Fleet, home: Home) -> dict[str, Any]:
    """Everything in every account, as the server says it."""
    found = {}
    for account in accounts_in(home.store):
        async with administered(fleet, home, account) as admin:
            found[account] = await look(admin)
    return found


async def _put(admin: Connection, stream: str, config: dict[str, Any]) -> None:
    await call(admin, f"STREAM.CREATE.{stream}", {"name": stream, **config})


@asynccontextmanager
async def _filled(folder: Path) -> AsyncIterator[Bench]:
    """A fleet with a sealed trail, a stream with gaps and a consumer half way, one without messages, one that is put off."""
    async with bench(folder) as live:
        await sealed(live)
        admin = await administrator(live, names.ACCOUNT_BUS)
        await _put(admin, "GAPS", {"subjects": ["gaps.*"], "max_msgs_per_subject": 2})
        for number in range(12):
            await store(admin, f"gaps.{number % 4}", b"%d" % number, headers={"Kept": str(number)})
        await _put(admin, "EMPTIED", {"subjects": ["emptied"]})
        await store(admin, "emptied", b"gone")
        await call(admin, "STREAM.PURGE.EMPTIED")
        consumer = {"durable_name": "half", "ack_policy": "explicit", "ack_wait": 10**12}
        await call(admin, "CONSUMER.DURABLE.CREATE.GAPS.half", {"stream_name": "GAPS", "config": consumer})
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        await admin.subscribe("_INBOX.half", arrived.put_nowait)
        await admin.publish("$JS.API.CONSUMER.MSG.NEXT.GAPS.half", b"3", reply="_INBOX.half")
        for number in range(3):
            message = await asyncio.wait_for(arrived.get(), 5)
            if number != 1:
                await admin.request(message.reply, b"+ACK", timeout_s=5)
        yield live


async def test_everything_is_under_the_new_key(tmp_path: Path) -> None:
    """Streams, gaps, consumers and how far they are, the trail with its times; the old store and both old files are gone.

    A run that was killed left the old store as it was, and what it made is no hindrance to the next one.
    """
    async with _filled(tmp_path) as live:
        pass
    home, fleet = live.home, live.fleet
    before, key = await _whole(fleet, home), home.store_key.read_text()
    async with running(home, fleet) as now:
        records = told(await records_of(now))
    await _killed(home, fleet)
    assert home.store_key.read_text() == key
    done = await _rotate(home)
    assert done.returncode == 0, done.stderr
    assert home.store_key.read_text() != key
    assert sorted(path.name for path in home.store_key.parent.iterdir()) == ["store.env"]
    assert not {"rotation", "before"} & {path.name for path in home.store.iterdir()}
    after = await _whole(fleet, home)
    audit, old = after[names.ACCOUNT_AUDIT].pop(names.AUDIT), before[names.ACCOUNT_AUDIT].pop(names.AUDIT)
    assert after == before
    assert before[names.ACCOUNT_BUS]["GAPS"]["consumers"][0]["num_ack_pending"] > 0
    assert before[names.ACCOUNT_BUS]["EMPTIED"]["state"]["last_seq"] == 1
    assert audit["config"] == old["config"]
    async with running(home, fleet) as now:
        whole = await records_of(now)
        assert told(whole)[: len(records)] == records
        said = json.loads(whole[-2].payload)
    assert (said["type"], said["data"]["resource"]) == ("agentbus.key.rotated.v1", "store")
    async with running(home, fleet) as now:
        assert (await verified(home)).exit_code == 0


async def test_a_fleet_that_runs_is_left_alone(fleet_bench: Bench) -> None:
    """The server's port is taken: a sentence, and the store is what it was."""
    key = fleet_bench.home.store_key.read_text()
    done = await _rotate(fleet_bench.home)
    assert done.returncode != 0
    assert "stop what runs there" in done.stderr
    assert fleet_bench.home.store_key.read_text() == key
    assert not (fleet_bench.home.store / "rotation").exists()
