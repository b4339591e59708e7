"""`make tamper`: every kind of tampering, on a copy of a real store, before the auditor's own command.

The last line is `tamper: caught K of K, located K of K`. Caught: exit code 1. Located: the first thing that the command
names is where it was done, exactly; where the design cannot tell the one sequence, exactly the stretch that it can.
The same run verifies each untouched store, which must be sound. Exits 1 if any of these is not so.

Two kinds of row are different. A producer that falls silent is named, with its last sequence, and the exit code stays
0: the trail is what was written. A proof is caught when it is refused, and located when the refusal names the field.

`--quick` leaves out what the tests do with the same records without a server (`tests/contract/audit/test_audit_tampering.py`),
and of what is done to archives the rows that are alike.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from agents.cli.audit.rotate import rotated
from agents.cli.run import log_quietly
from bus.audit.trust import load_trust
from bus.credentials import create_credential
from bus.surroundings import Home
from schemas.fleet import Fleet
from tests.harness.fleet import Bench, bench, unencrypted
from tests.tamper.archives import ROTATED
from tests.tamper.cases import CASES, Case
from tests.tamper.changes import Place, Recorded
from tests.tamper.proofs import proof_rows
from tests.tamper.rows import Row
from tests.tamper.silence import silence_rows
from tests.tamper.store import (
    Attacker,
    copied,
    gone_on,
    in_bulk,
    in_turn,
    records_of,
    running,
    sealed,
    two_runs,
    verified,
)

_TRAILS: dict[str, tuple[Callable[[Bench], Awaitable[None]], ...]] = {
    "in turn": (in_turn,),
    "in bulk": (in_bulk,),
    "sealed": (sealed,),
    "two runs": (two_runs,),
    "rotated": (sealed, gone_on, gone_on),
}
"""How each is written; between two parts it is rotated."""
Original = tuple[Home, Fleet, Recorded]


async def _written(name: str, folder: Path) -> Original:
    """A fleet with that trail, stopped."""
    folder.mkdir()
    first, *rest = _TRAILS[name]
    async with bench(folder, unencrypted) as live:
        await first(live)
        records = await records_of(live)
    for part in rest:
        await rotated(live.home)
        async with running(live.home, live.fleet) as again:
            await part(again)
            records = await records_of(again)
    stranger = create_credential(folder / "stranger.nk")
    return live.home, live.fleet, Recorded(records, load_trust(live.home.trust), stranger)


@asynccontextmanager
async def _copy(
    original: Original, folder: Path, on_disk: Callable[[Home], None] = lambda _: None
) -> AsyncIterator[Bench]:
    """The server of a copy of a home."""
    copy = copied(original[0], folder)
    try:
        on_disk(copy)
        async with running(copy, original[1]) as live:
            yield live
    finally:
        shutil.rmtree(folder)


async def _row(original: Original, folder: Path, case: Case) -> Row:
    async with _copy(original, folder, case.on_disk) as live:
        await case.online(await Attacker.of(live), original[2])
        seen = await verified(live.home)
    is_caught = seen.exit_code == 1
    said = f"exit {seen.exit_code}  at {_spelled(seen.place) if seen.place else 'no place'}"
    wrong = f"expected at {_spelled(case.place)}: {'; '.join(seen.problems[:3])}"
    return Row(case.name, is_caught, is_caught and seen.place == case.place, said, wrong)


def _spelled(place: Place) -> str:
    return str(place[0]) if place[0] == place[1] else f"{place[0]} to {place[1]}"


async def _rows(originals: dict[str, Original], folder: Path, cases: Sequence[Case]) -> AsyncIterator[Row]:
    for case in cases:
        yield await _row(originals[case.trail], folder, case)
    async with _copy(originals["in turn"], folder) as live:
        async for row in silence_rows(live):
            yield row
    async with _copy(originals["sealed"], folder) as live:
        for row in await proof_rows(live):
            yield row


async def main(*, is_quick: bool) -> int:
    """Run the table; returns the exit code."""
    cases = [case for case in (*CASES, *ROTATED) if not (is_quick and (case.is_tested_in_memory or case.is_alike))]
    is_clean, rows = True, []
    with tempfile.TemporaryDirectory(prefix="agentbus-tamper-") as root:
        originals = {name: await _written(name, Path(root) / name.replace(" ", "-")) for name in _TRAILS}
        for name, original in originals.items():
            async with _copy(original, Path(root) / "copy") as live:
                seen = await verified(live.home)
            is_clean &= seen.exit_code == 0
            print(f"{'untouched, ' + name:<55} exit {seen.exit_code}", flush=True)
        async for row in _rows(originals, Path(root) / "copy", cases):
            row.show()
            rows.append(row)
    total, caught, located = len(rows), sum(row.is_caught for row in rows), sum(row.is_located for row in rows)
    print(f"tamper: caught {caught} of {total}, located {located} of {total}")
    return 0 if is_clean and caught == located == total else 1


if __name__ == "__main__":
    log_quietly()
    sys.exit(uvloop.run(main(is_quick="--quick" in sys.argv[1:])))
