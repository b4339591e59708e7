"""`make chaos`: faults under load, one line for each, and a last line that says what was lost.

`--quick` is under a minute, the full run under ten: what is not done by then has hung. The last line comes whatever
happens. Exits with 1 when anything was lost, done twice or hung, or when the trail is not sound.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from agents.cli.run import log_quietly
from bus.requests.caller import Caller
from schemas.errors import AgentbusError
from tests.chaos.fault import Fault, Scenario
from tests.chaos.judge import Judge, Verdict
from tests.chaos.load import Load, Stuck
from tests.chaos.on_a_cluster import ON_A_CLUSTER
from tests.chaos.on_a_small_disk import ON_A_SMALL_DISK, ONE_OF_THREE
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.small_disk import enter
from tests.chaos.stage import Stage, stage
from tests.harness.agent import caller

_CALLERS = 4
_SOUND = "sound"
_QUICK_S, _FULL_S = 60.0, 600.0
_BROKEN = Verdict(acknowledged=0, lost=0, duplicate_effects=0, hung=1, redelivered=0, repeats=0, not_completed=0)
"""What counts for a stage that did not come to its end; what it had acknowledged cannot be judged."""
Played = tuple[Verdict, str]
"""The counts of all loads of a stage, and what the verifier said of its trail."""


@dataclass(frozen=True)
class Place:
    """What is built anew for some of the scenarios."""

    scenarios: Sequence[Scenario]
    is_cluster: bool = False
    has_small_disk: bool = False


PLACES = (
    Place(SCENARIOS),
    Place(ON_A_SMALL_DISK, has_small_disk=True),
    Place(ON_A_CLUSTER, is_cluster=True),
    Place(ONE_OF_THREE, is_cluster=True, has_small_disk=True),
)

QUICK_PLACES = PLACES[:3]
"""Of those that the quick form has anything for. They are played at the same time: most of it is waiting."""


class Run:
    """All scenarios, one after the other, on one stage."""

    def __init__(self, on: Stage, judge: Judge, callers: list[Caller], seed: int) -> None:
        self._stage = on
        self._judge = judge
        self._callers = callers
        self._seed = seed
        self.loads: list[Load] = []

    async def play(self, scenario: Scenario, amount: int) -> None:
        """One scenario under load of its own; prints its line."""
        began = time.monotonic()
        chance = random.Random(f"{self._seed} {scenario.name}")
        load = Load(scenario.name.replace(" ", "-"), self._callers, chance)
        self.loads.append(load)
        load.start()
        try:
            await scenario.happen(Fault(self._stage, load, chance, amount))
        except (Stuck, AgentbusError, TimeoutError) as stuck:
            load.hung += 1
            print(f"  {scenario.name}: {stuck or type(stuck).__name__}", flush=True)
        self._stage.heal()
        await load.stop()
        await load.settle()
        _print_line(scenario.name, await self._judge.verdict(load), time.monotonic() - began)

    async def verdict(self) -> Verdict:
        """Everything together, by what is known at the end."""
        return Verdict.sum_of([await self._judge.verdict(load) for load in self.loads])


def _print_line(name: str, verdict: Verdict, took_s: float) -> None:
    print(
        f"{name:<16} acknowledged={verdict.acknowledged} lost={verdict.lost}"
        f" duplicate_effects={verdict.duplicate_effects} hung={verdict.hung}"
        f" seconds={took_s:.1f}  (redelivered={verdict.redelivered}"
        f" repeats={verdict.repeats} not_completed={verdict.not_completed})",
        flush=True,
    )


async def _play_all(folder: Path, place: Place, *, is_quick: bool, seed: int) -> Played:
    """Every scenario of one stage."""
    async with stage(folder, is_cluster=place.is_cluster, has_small_disk=place.has_small_disk) as on:
        judge = await Judge.open(on)
        run = Run(on, judge, [await caller(on.bench, url=on.url_of(number)) for number in range(_CALLERS)], seed)
        for scenario in place.scenarios:
            if amount := scenario.quick if is_quick else scenario.full:
                await run.play(scenario, amount)
        # In order, so that their trails are complete before the last look.
        await asyncio.gather(*(worker.stop() for worker in on.workers))
        return await run.verdict(), await judge.trail()


async def _played(folder: Path, place: Place, *, is_quick: bool, seed: int) -> Played:
    """One stage, judged whatever ended it."""
    try:
        return await _play_all(folder, place, is_quick=is_quick, seed=seed)
    except Exception as error:  # noqa: BLE001  see above
        traceback.print_exc()
        return _BROKEN, f"ended by {type(error).__name__}"


async def _play_stages(folder: Path, limit_s: float, *, is_quick: bool, seed: int) -> list[Played]:
    """Each stage, in turn or, where it is quick, all together; what is not done in time counts as one that hung."""
    played: list[Played] = []
    turns = [QUICK_PLACES] if is_quick else [(place,) for place in PLACES]
    try:
        async with asyncio.timeout(limit_s):
            for turn, places in enumerate(turns):
                async with asyncio.TaskGroup() as group:
                    playing = [
                        group.create_task(_played(folder / f"{turn}-{number}", place, is_quick=is_quick, seed=seed))
                        for number, place in enumerate(places)
                    ]
                played += [one.result() for one in playing]
    except TimeoutError:
        print(f"chaos: not done within {limit_s:g} s, so something hangs", flush=True)
        played.append((_BROKEN, f"not done within {limit_s:g} s"))
    return played


async def main(*, is_quick: bool, seed: int, limit_s: float) -> int:
    """Run everything; the exit code."""
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="agentbus-chaos-") as folder:
        played = await _play_stages(Path(folder), limit_s, is_quick=is_quick, seed=seed)
    verdicts, trails = zip(*played, strict=True)
    total = Verdict.sum_of(verdicts)
    print(f"trail            {', '.join(trails)}")
    print(
        f"chaos: acknowledged={total.acknowledged} lost={total.lost}"
        f" duplicate_effects={total.duplicate_effects} hung={total.hung}",
        flush=True,
    )
    is_broken = total.lost or total.duplicate_effects or total.hung or any(trail != _SOUND for trail in trails)
    return int(bool(is_broken))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of each fault, under a minute")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="repeat a run's choices")
    parser.add_argument("--limit-s", type=float, help=f"end after so long; {_QUICK_S:g} when quick, else {_FULL_S:g}")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _arguments()
    enter()
    log_quietly()
    limit_s = arguments.limit_s or (_QUICK_S if arguments.quick else _FULL_S)
    raise SystemExit(uvloop.run(main(is_quick=arguments.quick, seed=arguments.seed, limit_s=limit_s)))
