"""Approvals with a long past: how long a service takes to fold ten thousand proposals, and to list what is open.

python -m tests.bench.approvals
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from agents.cli.run import log_quietly
from schemas import names
from schemas.approvals import Proposal, name_of
from schemas.ids import sha256_hex
from tests.bench.report import Report
from tests.bench.sizes import FULL
from tests.contract.approvals.approvals_bench import STYLE, Approvals
from tests.harness.admin import administrator, stored_count
from tests.harness.fleet import bench, until

_OPEN = 3
_CHUNK = 250


async def approvals_section(report: Report) -> None:
    """Fill, start the service, ask it."""
    past = report.sizes.past
    with tempfile.TemporaryDirectory(prefix="agentbus-bench-") as folder:
        async with bench(Path(folder)) as on:
            service = Approvals(on)
            await _fill(service, past)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began = time.perf_counter()
            await service.start()
            folded_s = time.perf_counter() - began
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            for _ in range(_OPEN):
                receipt = await service.propose()
                assert not receipt.problem, receipt
            listed = [await _listed(service) for _ in range(report.sizes.listed)]
            await service.close()
    list_ms = statistics.median(listed) * 1000
    report.keep(fold_s=folded_s, fold_mib=grown, list_ms=list_ms, list_longest_ms=max(listed) * 1000)
    report.line(f"approvals: fold {past:,} past proposals at start", f"{folded_s:>9.2f} s      {grown:.0f} MiB")
    report.line(
        f"approvals: list, {_OPEN} open, median (longest)",
        f"{list_ms:>9.1f} ms     ({max(listed) * 1000:.1f} ms)",
    )


async def _listed(service: Approvals) -> float:
    began = time.perf_counter()
    answer = await service.type("list")
    took = time.perf_counter() - began
    assert answer.startswith(f"OK {_OPEN} proposals"), answer[:200]
    return took


async def _fill(service: Approvals, past: int) -> None:
    """Proposals that were made and taken back, recorded by the server while nobody served."""
    about = msgspec.json.decode(service.proposal(STYLE), type=Proposal)
    admin = await administrator(service.bench, names.ACCOUNT_APPROVALS)
    greeter = await service.bench.attacker("greeter", names.OWN_CREDENTIAL)
    for first in range(0, past, _CHUNK):
        for number in range(first, min(first + _CHUNK, past)):
            data = msgspec.json.encode(msgspec.structs.replace(about, nonce=str(number)))
            await greeter.client.publish("approvals.propose.greeter", data)
            await greeter.client.publish("approvals.withdraw.greeter", name_of(sha256_hex(data)).encode())
        await greeter.client.flush()
        wanted = 2 * min(first + _CHUNK, past)

        async def is_stored(wanted: int = wanted) -> bool:
            return await stored_count(admin, names.PROPOSALS) >= wanted

        await until(is_stored, timeout_s=30)


if __name__ == "__main__":
    log_quietly()
    uvloop.run(approvals_section(Report(FULL)))
