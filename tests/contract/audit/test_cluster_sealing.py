"""A sealer on three servers: whichever of them is killed or cut off, it seals on and blames nobody."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bus.audit.emit import Audit
from bus.errors import AuditUnavailable
from schemas import names
from tests.harness.cluster import cluster_bench
from tests.harness.fleet import until
from tests.harness.sealing import AT_ONCE, sealing, witness_of

pytestmark = pytest.mark.timeout(300)
_PATIENCE_S = 90.0
PACE = replace(AT_ONCE, interval_s=0.2, poll_s=0.05, believe_s=10)


async def _write(audit: Audit) -> None:
    """Events without end."""
    while True:
        audit.emit("request.received", action="SendMessage")
        try:
            await audit.confirm(1)
        except AuditUnavailable:
            continue


@pytest.mark.parametrize("fault", ["killed", "cut off"])
async def test_a_sealer_outlives_the_streams_leader(tmp_path: Path, fault: str) -> None:
    """Before, during and after another leader is elected; a server that is behind is not taken for a cut stream."""
    async with cluster_bench(tmp_path) as cluster:
        for witness in cluster.fleet.witnesses:
            await witness_of(cluster, witness)
        audit = await cluster.audit("greeter")
        async with sealing(cluster, PACE) as running:
            writing = asyncio.create_task(_write(audit))

            async def grows(beyond: int) -> bool:
                if running.task.done():
                    running.task.result()
                sealed = running.log.sealed
                return sealed is not None and sealed.size > beyond + 10

            await until(lambda: grows(0), timeout_s=_PATIENCE_S)
            leader = await cluster.leader_of(names.ACCOUNT_AUDIT, names.AUDIT)
            await (cluster.kill(leader) if fault == "killed" else cluster.cut_off(leader, 5))
            after = running.log.size
            await until(lambda: grows(after), timeout_s=_PATIENCE_S)
            await until(cluster.is_whole, timeout_s=_PATIENCE_S, every_s=0.1)
            heard = len(running.said)

            async def all_cosign() -> bool:
                return any(not said.problems for said in running.said[heard:])

            await until(all_cosign, timeout_s=_PATIENCE_S)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
