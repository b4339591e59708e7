"""`make selfmod`: a fleet whose agents change themselves, a hundred times badly and twenty times well, and an applier
that is killed at each step. The last line says what is live and what is back; exits with 1 when anything is not as it
should be. `--quick` is one of each kind.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from agents.cli.run import log_quietly
from agents.people import operator
from approvals.change.propose import Edit
from bus.requests.caller import Caller
from schemas.approvals import Standing
from tests.harness.fleet import RunningFleet
from tests.harness.office import Office, office
from tests.selfmod.caller import Watcher
from tests.selfmod.changes import GOOD, Change, changes
from tests.selfmod.judge import Score, answering_as, mixed
from tests.selfmod.killing import BAD_STEPS, GOOD_STEPS, kill_at, renewed
from tests.selfmod.stage import PAIR, names_of, stage

_AGENTS = 6
_STEADY_S = 22.0
"""Longer than the latest crash of the table."""
_ENDS_WITHIN_S = 240.0


@dataclass
class Run:
    """Everything that is needed to make one change after the other."""

    desk: Office
    caller: Caller
    score: Score = field(default_factory=Score)
    latencies_s: list[float] = field(default_factory=list)

    async def make(self, agent: str, change: Change) -> tuple[str, float]:
        """Propose and approve; the proposal's id, and when the approving vote was answered."""
        edits = [Edit(path, "", text) for path, text in change.files.items()]
        data = await asyncio.to_thread(self.desk.proposal, agent, edits)
        receipt = await self.desk.propose(data)
        if receipt.problem:
            raise AssertionError(f"{change.name}: {receipt.problem}")
        await self.desk.vote(receipt, "reviewer")
        return receipt.proposal, time.monotonic()

    async def judge(self, agent: str, change: Change, proposal: str) -> Standing:
        """Wait for the end of one change and count it."""
        ended = await self.desk.ended(proposal, _ENDS_WITHIN_S)
        problem = await answering_as(self.caller, agent, str(self.desk.git.tree_of_agent(agent)))
        self.score.add(change, ended, problem, await mixed(self.desk, agent))
        print(f"  {change.name:<38} {agent:<10} {ended.state:<12} {ended.note[:70]}", flush=True)
        return ended

    async def work_off(self, agent: str, waiting: list[Change]) -> None:
        """Take changes for one agent until there are none left."""
        while waiting:
            change = waiting.pop()
            watcher = Watcher(self.caller, agent)
            if change.is_good:
                watcher.start()
            proposal, approved_at = await self.make(agent, change)
            await self.judge(agent, change, proposal)
            await watcher.stop()
            if change.name in watcher.began:
                self.latencies_s.append(watcher.began[change.name] - approved_at)


async def _outage(run: Run, agent: str, number: int) -> Watcher:
    """A good change of an agent that somebody asks all the time."""
    watcher = Watcher(run.caller, agent)
    watcher.start()
    (change,) = [c for c in changes(number, bad=0, good=1, home=run.desk.home.root, port=0) if c.is_good]
    change = change._replace(name=f"outage-{agent}")
    change.files["handler.py"] = change.files["handler.py"].replace("good-0", change.name)
    proposal, _ = await run.make(agent, change)
    await run.judge(agent, change, proposal)
    await watcher.stop()
    return watcher


async def _kill_everywhere(run: Run, agent: str, everything: Sequence[Change]) -> int:
    """The applier is killed once at each step, of a good and of a bad change; how often it came to that."""
    bad = next(change for change in everything if change.kind == "every request fails")
    kills = 0
    for number, (steps, base) in enumerate(((GOOD_STEPS, None), (BAD_STEPS, bad))):
        for step in steps:
            change = base or next(c for c in everything if c.is_good)
            name = f"killed-at-{step.replace(' ', '-')}-{number}"
            files = {path: text.replace(change.name, name) for path, text in change.files.items()}
            change = change._replace(name=name, files=files)
            proposal, _ = await run.make(agent, change)
            kills += await kill_at(run.desk.home, proposal, step, within_s=60)
            await run.judge(agent, change, proposal)
            await renewed(run.desk.home)
    return kills


async def _play(fleet: RunningFleet, *, is_quick: bool, seed: int, agents: int) -> Score:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(office(fleet.home))
        caller = await stack.enter_async_context(operator(fleet.home.root, "ops"))
        run = Run(desk, caller)
        port = int(fleet.processes()["nats-server"]["status"].rsplit(":", 1)[1])
        every = changes(seed, bad=1 if is_quick else 100, good=2 if is_quick else GOOD, home=fleet.home.root, port=port)
        await asyncio.gather(*(run.work_off(agent, every_left) for agent, every_left in _shared(every, agents)))
        counted = run.score
        run.score = Score()  # what follows is measured beside the hundred and twenty
        one, two = await _outage(run, names_of(agents)[0], seed), await _outage(run, PAIR, seed)
        kills = await _kill_everywhere(run, names_of(agents)[-1], every)
        _report(run, one, two, kills)
        counted.mixed += run.score.mixed
        counted.wrong += run.score.wrong
        return counted


def _shared(every: list[Change], agents: int) -> list[tuple[str, list[Change]]]:
    waiting = list(every)
    return [(agent, waiting) for agent in names_of(agents)]


def _report(run: Run, one: Watcher, two: Watcher, kills: int) -> None:
    if run.latencies_s:
        print(
            f"from the last approving vote to the new version's first answer: median "
            f"{statistics.median(run.latencies_s):.2f} s, longest {max(run.latencies_s):.2f} s"
        )
    print(f"outage that callers see, one instance: {one.failures} failed, longest gap {one.longest_gap_s:.2f} s")
    print(f"outage that callers see, two instances: {two.failures} failed, longest gap {two.longest_gap_s:.2f} s")
    right = run.score.good_live + run.score.bad_back
    print(f"applier killed at {kills} steps; {right} of {run.score.good + run.score.bad} ended as they should")


async def main(*, is_quick: bool, seed: int) -> int:
    """Run everything; the exit code."""
    print(f"seed {seed}", flush=True)
    agents = 3 if is_quick else _AGENTS
    with (
        tempfile.TemporaryDirectory(prefix="agentbus-selfmod-") as folder,
        stage(Path(folder, "fleet"), agents=agents, steady_for_s=_STEADY_S) as fleet,
    ):
        score = await _play(fleet, is_quick=is_quick, seed=seed, agents=agents)
        verified = fleet.run("audit", "verify", check=False)
    for (kind, state), count in sorted(score.by_kind.items()):
        print(f"{kind:<38} {state:<12} {count}")
    for wrong in score.wrong:
        print(f"WRONG {wrong}")
    print(f"trail: {verified.stdout.splitlines()[0] if verified.stdout else verified.stderr.strip()}")
    print(score.line)
    return 0 if score.is_perfect and not score.wrong and verified.returncode == 0 else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.selfmod", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one of each kind")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="repeat a run's choices")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _arguments()
    log_quietly()
    raise SystemExit(uvloop.run(main(is_quick=arguments.quick, seed=arguments.seed)))
