"""Readiness is honest: seen failing for each of its reasons, over HTTP, with a real server, and coming back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agents.processes.approvers import record_check
from agents.processes.service import Identity, Running, service
from bus.audit.emit import THROTTLE_FILL, Audit, Options
from bus.audit.producer import Producer
from bus.audit.seal.cosigners import Cosigners
from bus.audit.seal.policy_file import load_policy, log_of
from bus.audit.seal.sealed_log import SealedLog
from bus.audit.seal.sealer import Pace, Sealer
from bus.credentials import Credential
from bus.errors import AuditUnavailable
from bus.health import seal, trail
from bus.health.doors import Doors
from bus.health.lateness import Lateness
from bus.health.streams import StreamsCheck
from bus.jetstream import call
from bus.provision.streams import own_streams, trail_streams
from bus.surroundings import Surroundings
from schemas import names
from tests.contract.approvals.approvals_bench import Approvals
from tests.harness.admin import administrator
from tests.harness.fleet import Bench, until
from tests.harness.health import asked


@dataclass
class Probed:
    """A process of the product in the test's loop, and where it is asked how it is."""

    running: Running
    socket: Path

    async def failed(self) -> list[str]:
        """The names of the checks that failed, by the page of readiness."""
        told = await asked(self.socket, "/ready")
        assert (told.status == 200) == (told.body["status"] == "ready")
        found: list[str] = told.body.get("failed", [])
        return found

    async def component(self, name: str) -> dict[str, Any]:
        """State and reason of one."""
        told = await asked(self.socket, "/health?detailed=true")
        found: dict[str, Any] = told.body["components"][name]
        return found

    async def fails(self, *names: str) -> None:
        """Wait until exactly these have failed."""

        async def do() -> bool:
            return await self.failed() == list(names)

        await until(do)


@asynccontextmanager
async def probed(bench: Bench, agent: str, socket: Path) -> AsyncIterator[Probed]:
    """What every process is made of, as `agent`, without its own work."""
    place = Surroundings(bench.url, bench.home.credentials(agent), bench.home.state(agent), bench.home, "0")
    place.state.mkdir(parents=True, exist_ok=True)
    async with service(Identity(agent, is_agent=True), place, Doors(socket)) as running:
        yield Probed(running, socket)


async def test_a_process_is_ready_when_it_serves_and_no_longer(fleet_bench: Bench, tmp_path: Path) -> None:
    """Starting, serving, the server gone and back, draining: each is told, and liveness stays."""
    socket = tmp_path / "health.sock"
    async with probed(fleet_bench, "textstats", socket) as probe:
        assert await probe.failed() == ["stage"]
        serving = asyncio.create_task(probe.running.serve("testing"))
        await probe.fails()
        await fleet_bench.server.stop()
        await probe.fails("own", "bus")
        assert (await asked(socket, "/live")).status == 200
        assert "not connected" in (await probe.component("bus"))["reason"]
        await fleet_bench.server.start()
        await probe.fails()
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
        assert await probe.failed() == ["stage"]
        assert (await asked(socket, "/health")).body["stage"] == "draining"
        assert (await asked(socket, "/live")).status == 200
    assert not socket.exists()


async def test_a_process_that_waits_for_the_server_is_live_and_not_ready(fleet_bench: Bench, tmp_path: Path) -> None:
    """It tells how it is before it has connected."""
    await fleet_bench.server.stop()
    socket, probes = tmp_path / "health.sock", probed(fleet_bench, "textstats", tmp_path / "health.sock")
    entering = asyncio.create_task(probes.__aenter__())

    async def there() -> bool:
        return socket.exists()

    await until(there)
    assert (await asked(socket, "/live")).status == 200
    assert (await asked(socket, "/ready")).body["failed"] == ["stage"]
    await fleet_bench.server.start()
    probe = await entering
    assert (await probe.component("own"))["status"] == "ok"
    await probes.__aexit__(None, None, None)


async def test_streams_that_are_not_as_provisioned(fleet_bench: Bench) -> None:
    """As provisioned: ok. A setting changed, a stream gone: failed, with its name and what to run; put right: ok."""
    own = await fleet_bench.connect("textstats", names.OWN_CREDENTIAL)
    sealer = await fleet_bench.connect("sealer", names.TRAIL_CREDENTIAL)
    check, of_the_trail = StreamsCheck(own, own_streams()), StreamsCheck(sealer, trail_streams())
    assert check.check().state == "failed"
    await check.look()
    await of_the_trail.look()
    assert [check.check().reason, of_the_trail.check().reason] == ["", ""]
    admin = await administrator(fleet_bench, names.own_account("textstats"))
    before = (await call(admin, f"STREAM.INFO.{names.TASK_LOG}"))["config"]
    await call(admin, f"STREAM.UPDATE.{names.TASK_LOG}", before | {"max_msgs_per_subject": 7, "discard": "new"})
    await check.look()
    assert check.check() == (
        "failed",
        "stream TASK_LOG has another discard, max_msgs_per_subject than this version provisions; run: agentbus provision",
    )
    await call(admin, f"STREAM.UPDATE.{names.TASK_LOG}", before)
    await check.look()
    assert check.check().state == "ok"
    await call(admin, f"STREAM.DELETE.KV_{names.PUSH_BUCKET}")
    await check.look()
    assert "stream KV_push does not exist" in check.check().reason


async def test_a_spool_that_fills(fleet_bench: Bench, tmp_path: Path) -> None:
    """Events that wait long: degraded. A spool above its limit: failed, and well again when the stream has them."""
    own = await fleet_bench.connect("textstats", names.OWN_CREDENTIAL)
    later_ns = 0

    def now() -> int:
        return time.time_ns() - later_ns

    audit = await Audit.open(
        own,
        Producer("textstats", "0", is_agent=True),
        Credential.find(fleet_bench.home.credentials("textstats"), names.AUDIT_CREDENTIAL),
        tmp_path / "audit",
        Options(now=now, spool_bytes=20_000),
    )
    check = trail.check_of(audit)
    await audit.confirm()
    assert check().state == "ok"
    await fleet_bench.server.stop()
    later_ns = 60_000_000_000
    audit.emit("process.alive", action="run")
    assert check().state == "degraded"
    assert "1 events wait for the audit stream, the oldest for 60 s" in check().reason
    with contextlib.suppress(AuditUnavailable):
        while True:
            audit.emit("process.alive", action="run")
    assert audit.fill > THROTTLE_FILL
    assert check().state == "failed"
    assert "spool is 9" in check().reason
    await fleet_bench.server.start()
    later_ns = 0
    await audit.confirm()
    assert check().state == "ok"
    await audit.close()


async def test_a_loop_that_stands_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps the loop from its timers for over a second is degraded, just now for over five failed."""
    monkeypatch.setattr("bus.health.lateness.EVERY_S", 0.01)
    lateness = Lateness()
    looking = asyncio.create_task(lateness.run())
    await asyncio.sleep(0.03)
    assert lateness.check().state == "ok"
    time.sleep(1.02)
    assert lateness.check().state == "degraded"
    assert "stood still" in lateness.check().reason
    lateness._due_s -= 5
    assert lateness.check().state == "failed"
    looking.cancel()


async def test_checkpoints_that_do_not_come(fleet_bench: Bench, tmp_path: Path) -> None:
    """A checkpoint that is due for a minute is degraded, for five failed; the numbers are those of the last one."""
    connection = await fleet_bench.connect("sealer", names.TRAIL_CREDENTIAL)
    policy = load_policy(fleet_bench.home.seal_policy)
    key = Credential.find(fleet_bench.home.credentials("sealer"), names.SEAL_CREDENTIAL).signing_key()
    log = SealedLog(tmp_path / "log", log_of(policy), key)

    def due_since(seconds: float) -> Sealer:
        return Sealer(connection, log, Cosigners(connection, {}), tmp_path / "checkpoint", Pace(idle_s=-seconds))

    states = [seal.check_of(due_since(seconds))().state for seconds in (-10, 10, 90, 400)]
    assert states == ["ok", "ok", "degraded", "failed"]
    assert [sample.name for sample in seal.look_at(due_since(0), log, tmp_path / "checkpoint")] == [
        "agentbus_unsealed_messages"
    ]
    log.close()


async def test_a_record_that_cannot_be_read(approvals: Approvals) -> None:
    """An approval service that cannot read what was recorded says so, and is well when it can."""
    service = approvals.service
    assert service is not None
    check = record_check(service)
    await service.catch_up()
    assert check().state == "ok"
    for unread_s, state in ((60, "degraded"), (600, "failed")):
        service._read_at_s -= unread_s
        assert check().state == state
    await service.catch_up()
    assert check().state == "ok"
