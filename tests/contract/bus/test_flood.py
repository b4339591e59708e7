"""A flood of logins that fail, in small: `make flood` measures a large one."""

from __future__ import annotations

from tests.bench.rates import COUNT
from tests.flood.__main__ import attack, order_for
from tests.flood.work import Work
from tests.harness.agent import caller, serving
from tests.harness.fleet import Bench

LOGINS, SILENT = 400, 300
"""Of the second more than the fleet may have connections: they keep nobody out."""


async def work_goes_on(running: Bench, how: str) -> None:
    """Each login fails, each request meanwhile is answered, and whoever has a key of the fleet is let in."""
    async with serving(running, "textstats"):
        calls = await caller(running)
        work = Work(running, lambda: calls.send_message("textstats", COUNT))
        outcome = await attack(running, work, order_for(running, LOGINS, 1.0, SILENT))
    assert outcome.ends[how] == LOGINS
    assert not outcome.ends.keys() & {"LET IN", "never ended"}
    assert len(outcome.during) == 200
    assert outcome.logins
    assert work.turned_away == 0


async def test_nobody_gets_in_and_work_goes_on(fleet_bench: Bench) -> None:
    """Wrong keys, bad signatures, no keys, passwords, other protocols."""
    await work_goes_on(fleet_bench, "refused")
