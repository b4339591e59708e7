"""Keys that seal the trail are replaced, and what an auditor says of the trail before, meanwhile and after."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bus.audit.read import Reader
from bus.audit.seal.check import SealCheck, find_checkpoints
from bus.audit.seal.policy_file import load_policy
from bus.audit.trust import load_trust
from bus.audit.verifying.verify import Report
from bus.audit.verifying.verify_stream import verify_stream
from bus.errors import NotProvisioned
from bus.provision.membership.resealing import Resealing, reseal
from bus.provision.seal_policy import write_seal_policy
from schemas import names
from schemas.audit import decode_event
from tests.harness.fleet import Bench
from tests.harness.sealing import Sealing, sealing, witness_of, write


async def _verified(bench: Bench, old: str = "") -> Report:
    """By an auditor with this policy, or with the one of now."""
    policy = load_policy(bench.home.seal_policy)
    known = find_checkpoints(bench.home.root / "state", policy)
    if old:
        file = bench.home.root / "old.policy"
        file.write_text(old)
        policy, known = load_policy(file), []
    auditor = await bench.connect("auditor", names.OWN_CREDENTIAL)
    return await verify_stream(Reader(auditor), load_trust(bench.home.trust), seals=SealCheck(policy, known))


@asynccontextmanager
async def _halted(bench: Bench, before: AsyncExitStack, after: AsyncExitStack) -> AsyncIterator[bool]:
    """The sealer and its witnesses end, and others are started with the keys of then."""
    await before.aclose()
    yield True
    for name in bench.fleet.witnesses:
        after.push_async_callback((await witness_of(bench, name)).close)
    await after.enter_async_context(sealing(bench))


async def _sealing(bench: Bench, stack: AsyncExitStack) -> Sealing:
    for name in bench.fleet.witnesses:
        stack.push_async_callback((await witness_of(bench, name)).close)
    return await stack.enter_async_context(sealing(bench))


async def test_who_seals_hands_over_while_the_trail_goes_on(fleet_bench: Bench) -> None:
    """Sealer and a witness have new keys, both hand-overs are on the stream, and everything is sound to who knows them.

    An auditor with the policy of before is told what to do, and that is no verdict against the trail.
    """
    fleet, home, servers = fleet_bench.fleet, fleet_bench.home, (fleet_bench.server,)
    audit, before = await fleet_bench.audit("greeter"), home.seal_policy.read_text()
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await write(audit, 3)
        await (await _sealing(fleet_bench, first)).until_sealed(3)
        wanted = Resealing([names.SEALER, "witness-a"], "root", "0" * 64)
        made = await reseal(fleet, home, servers, wanted, _halted(fleet_bench, first, second))
        await second.aclose()
        await write(audit, 2)
        async with AsyncExitStack() as third:
            running = await _sealing(fleet_bench, third)
            await running.until_sealed((await Reader(running.auditor).bounds()).last)
            assert running.said[-1].problems == {}
        report = await _verified(fleet_bench)
        assert (report.verdict, report.reason, set(report.witnesses)) == ("sound", "", {"witness-a", "witness-b"})
        auditor = await fleet_bench.connect("auditor", names.OWN_CREDENTIAL)
        told = [record.payload async for record in Reader(auditor).records(subject="audit.sys.membership.0.key")]
        assert [decode_event(event).data.resource for event in told] == [one.name for one in made]
        old = await _verified(fleet_bench, before)
        assert (old.verdict, old.found, "have the operators give you" in old.reason) == ("cannot tell", 0, True)


async def test_keys_are_not_replaced_where_the_sealer_is_not(fleet_bench: Bench) -> None:
    """Without what it signed last, a hand-over would disown checkpoints; nothing is changed, and it may go on."""
    home = fleet_bench.home
    audit, before = await fleet_bench.audit("greeter"), home.seal_policy.read_text()
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await write(audit, 1)
        await (await _sealing(fleet_bench, first)).until_sealed(1)
        await first.aclose()
        shutil.move(home.state(names.SEALER), home.root / "elsewhere")
        wanted = Resealing([names.SEALER], "root", "0" * 64)
        with pytest.raises(NotProvisioned, match="run this where the sealer runs"):
            await reseal(fleet_bench.fleet, home, (fleet_bench.server,), wanted, _halted(fleet_bench, first, second))
        write_seal_policy(fleet_bench.fleet, home)
        assert home.seal_policy.read_text() == before
